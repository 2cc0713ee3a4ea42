// Fills the page from the report of the run. Names, errors and addresses in it come from outside: they are only ever
// set as text. These follow each other in one script:
//
//   words.js    numbers as text, and the verdict     plots.js   how a plot is drawn and read
//   tables.js   all that is no plot                  page.js    what is shown where

const report = JSON.parse(document.getElementById("report").textContent);
const rows = report.series?.rows ?? [];
const interval = report.series?.intervalS ?? 1;

const byId = (id) => document.getElementById(id);
const say = (id, text) => {
  byId(id).textContent = text;
};

// ---- On top ----------------------------------------------------------------------------------------

function showVerdict() {
  const { state, mark, word, text, reasons: why } = verdictOf(report);
  const started = new Date(report.startedAt);
  const when = Number.isNaN(started.getTime())
    ? String(report.startedAt)
    : `${started.toISOString().slice(0, 19).replace("T", " ")} UTC`;
  say("run", `Load test “${report.scenario}” of ${report.target?.url} · ${report.target?.protocol} · ${when}`);
  byId("verdict").dataset.state = state;
  say("verdict-mark", mark);
  say("verdict-word", word);
  say("verdict-sentence", text);
  byId("verdict-reasons").replaceChildren(...why.map((reason) => element("li", {}, reason)));
}

function showTiles() {
  const { counts = {}, rates = {}, parameters = {}, harness, search, memoryPerConnectionBytes } = report;
  const latency = mainLatency(report);
  const of = latency?.name === "delivery" ? "delivery" : latency?.name;
  const measured = wasMeasured(report);
  const faults = (name) => [measured ? plain(counts[name]) : NONE, counts[name] > 0 ? "bad" : ""];
  const offered = rates.offered > 0;
  const tiles = [
    search && ["highest that held", isNumber(search.found) ? plain(search.found) : "none", "", search.parameter],
    ["users", plain(parameters.users)],
    offered && [
      "offered per second",
      plain(rates.offered),
      "",
      ratesOf(parameters)
        .map(([kind, rate]) => `${kind} ${plain(rate)}`)
        .join(", "),
    ],
    offered && ["reached per second", plain(rates.achieved), "", percent(rates.achieved, rates.offered)],
    rates.deliveries > 0 && ["deliveries per second", plain(rates.deliveries), "", `${plain(counts.delivered)} in all`],
    rates.connects > 0 && report.scenario === "connect" && ["connects per second", plain(rates.connects)],
    isNumber(memoryPerConnectionBytes) && ["memory for a connection", bytes(memoryPerConnectionBytes)],
    latency && [`p50 of ${of}`, milliseconds(latency.p50)],
    latency && [`p99 of ${of}`, milliseconds(latency.p99)],
    ["lost", ...faults("lost")],
    ["duplicated", ...faults("duplicated")],
    ["reordered", ...faults("reordered")],
    harness &&
      measured && [
        "harness",
        harness.bottleneck ? "bottleneck" : "kept up",
        harness.bottleneck ? "bad" : "",
        `p99 late by ${milliseconds(harness.lateMs?.p99)}`,
      ],
  ];
  byId("tiles").replaceChildren(
    ...tiles
      .filter(Boolean)
      .map(([name, value, state = "", note = ""]) =>
        element(
          "div",
          { className: `tile ${state}` },
          element("dt", {}, name),
          element("dd", {}, value),
          ...(note ? [element("dd", { className: "note" }, note)] : []),
        ),
      ),
  );
}

// ---- Plots -----------------------------------------------------------------------------------------

const LATENCY = { axis: axisMilliseconds, read: milliseconds };
const NUMBERS = { axis: axisNumber, read: plain };
const BYTES = { axis: bytes, read: bytes };
const plots = [];

/** Draws into the figure of that name, or says there that nothing was measured. */
function plot(name, what) {
  const figure = document.querySelector(`[data-plot="${name}"]`);
  const lines = what.lines.filter((one) => one.values.some(isNumber));
  if (what.x.length > 0 && lines.length > 0) return plots.push(new Plot(figure, { ...what, lines }));
  figure.append(element("p", { className: "empty" }, "Nothing was measured."));
  figure.dataset.drawn = "empty";
  return undefined;
}

function columnOf(name) {
  const index = report.series?.columns?.indexOf(name) ?? -1;
  return rows.map((row) => row[index] ?? null);
}

/** Neighbouring rows of one phase, from the middle between rows to the next. */
function phasesOf(seconds) {
  const phases = [];
  columnOf("phase").forEach((phase, index) => {
    const [from, to] = [seconds[index] - interval / 2, seconds[index] + interval / 2];
    if (phases.at(-1)?.phase === phase) phases.at(-1).to = to;
    else phases.push({ phase, from: phases.at(-1)?.to ?? from, to });
  });
  return phases;
}

function showSeries() {
  const seconds = columnOf("second");
  const overTime = { x: thinned(seconds, "first"), across: ACROSS.time, phases: phasesOf(seconds) };
  const each = (label, name, style, merge, scaled = 1) => ({
    label,
    style: STYLES[style],
    values: thinned(
      columnOf(name).map((value) => (isNumber(value) ? value / scaled : null)),
      merge,
    ),
  });
  plot("latency", {
    ...overTime,
    scale: "log",
    format: LATENCY,
    lines: [
      each("highest", "max", "fourth", "max"),
      each("p99", "p99", "second", "max"),
      each("p90", "p90", "third", "mean"),
      each("p50", "p50", "first", "mean"),
    ],
  });
  plot("throughput", {
    ...overTime,
    scale: "zero",
    format: NUMBERS,
    lines: [
      each("offered", "offered", "beneath", "mean", interval),
      each("sent", "sent", "first", "mean", interval),
      each("acknowledged", "acknowledged", "second", "mean", interval),
      each("delivered", "delivered", "third", "mean", interval),
    ],
  });
  plot("errors", {
    ...overTime,
    scale: "zero",
    format: NUMBERS,
    lines: [each("skipped", "skipped", "first", "max", interval), each("errors", "errors", "second", "max", interval)],
  });
  plot("connections", {
    ...overTime,
    scale: "zero",
    format: NUMBERS,
    lines: [each("connections", "connections", "first", "min")],
  });
  plot("lateness", {
    ...overTime,
    scale: "log",
    format: LATENCY,
    lines: [each("p99 lateness", "lateP99", "first", "max")],
  });
  const byProcess = (values, merge) =>
    (report.resources ?? []).map((process, index) => ({
      label: process.name,
      style: styleAt(index),
      values: thinned(
        rows.map((_, row) => process[values]?.[row] ?? null),
        merge,
      ),
    }));
  plot("cpu", { ...overTime, scale: "zero", format: NUMBERS, lines: byProcess("cores", "mean") });
  plot("memory", { ...overTime, scale: "zero", format: BYTES, lines: byProcess("residentBytes", "max") });
  const size = groupSize(rows.length);
  if (size > 1) {
    say(
      "thinning",
      `Each point over time stands for ${duration(size * interval)}: the highest p99, maximum, errors, skipped, ` +
        "lateness and memory, the lowest number of connections, and the mean of the rest. series.csv has every interval.",
    );
  }
}

function showSearch() {
  const { search } = report;
  if (!search) return byId("search").remove();
  const trials = search.trials ?? [];
  say("search-summary", sentence(`${counted(trials.length, "trial")}: ${found(search)}`));
  table(
    "trials",
    ["Trial", search.parameter, "p99", "Service level", "What broke it"],
    trials.map((trial, index) => [
      plain(index + 1),
      plain(trial.value),
      milliseconds(trial.p99),
      outcome(trial.held, "held", "broke"),
      scalar(trial.broken ?? []),
    ]),
    [1, 2],
  );
  const order = trials
    .filter((trial) => isNumber(trial.p99) && isNumber(trial.value))
    .sort((a, b) => a.value - b.value);
  const those = (held) => order.map((trial) => (trial.held === held ? trial.p99 : null));
  return plot("search", {
    x: order.map((trial) => trial.value),
    lines: [
      { label: "held", style: STYLES.first, dots: true, values: those(true) },
      { label: "broke", style: STYLES.second, dots: true, hollow: true, values: those(false) },
    ],
    across: {
      ...ACROSS.value,
      axis: { ...ACROSS.value.axis, label: search.parameter === "rate" ? "rate, per second" : search.parameter },
      read: (value) => `${search.parameter} ${plain(value)}`,
    },
    scale: "log",
    format: LATENCY,
    mark: search.found,
  });
}

/** Latency at each percentile. The highest value stands where one in all of them would be. */
function showPercentiles() {
  const curves = (report.latencies ?? []).flatMap((latency, index) => {
    const style = styleAt(index);
    const own = { label: latency.name, style, at: curveOf(latency, latency.byPercentile ?? quantilesOf(latency)) };
    const { uncorrected } = latency;
    if (latency.name !== "delivery" || !uncorrected) return [own];
    const dashed = { colour: style.colour, width: 1.5, dash: [4, 4] };
    return [
      own,
      {
        label: "delivery, uncorrected",
        style: dashed,
        at: curveOf(uncorrected, uncorrected.byPercentile ?? quantilesOf(uncorrected)),
      },
    ];
  });
  const x = [...new Set(curves.flatMap(({ at }) => [...at.keys()]))].sort((a, b) => a - b);
  const lines = curves.map(({ label, style, at }) => ({
    label,
    style,
    spanGaps: true,
    values: x.map((nines) => at.get(nines) ?? null),
  }));
  plot("percentiles", { x, lines, across: ACROSS.percentile, scale: "log", format: LATENCY });
}

const quantilesOf = (figures) => [
  [50, figures.p50],
  [90, figures.p90],
  [99, figures.p99],
  [99.9, figures.p999],
  [100, figures.max],
];

function curveOf({ count }, points) {
  const most = Math.log10(Math.max(count, 1));
  const at = new Map();
  for (const [percentile, value] of points) {
    if (isNumber(value)) at.set(percentile < 100 ? Math.min(ninesOf(percentile), most) : most, value);
  }
  return at;
}

// ---- All of it -------------------------------------------------------------------------------------

showVerdict();
showTiles();
showChecks();
showLatencies();
showSearch();
showStages();
showDetails();
showSeries();
showPercentiles();

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => plots.forEach((one) => one.draw()));

// On paper: light, in its width, with all examples.
addEventListener("beforeprint", () => {
  document.documentElement.classList.add("paper");
  for (const details of document.querySelectorAll("details:not([open])"))
    Object.assign(details, { open: true }).dataset.folded = "";
  for (const one of plots) one.draw(PAPER_WIDTH);
});
addEventListener("afterprint", () => {
  document.documentElement.classList.remove("paper");
  for (const details of document.querySelectorAll("details[data-folded]")) {
    details.open = false;
    delete details.dataset.folded;
  }
  for (const one of plots) one.draw();
});
