// The plots: how a line is chosen, drawn, read and hidden. What is drawn stands in page.js.

/** More points than this cannot be told apart, and make the page slow. */
const MOST_POINTS = 2_000;
const LEAST_MS = 0.001;
const PLOT_HEIGHT = 260;
/** The width of a printed page within its margins. */
const PAPER_WIDTH = 660;
const FONT = "12px system-ui, sans-serif";

/** Colours by their name in page.css, and dashes: lines differ in both, so that neither is needed. */
const STYLES = {
  first: { colour: "--line-1", width: 2, dash: [] },
  second: { colour: "--line-2", width: 2, dash: [8, 4] },
  third: { colour: "--line-3", width: 2, dash: [2, 3] },
  fourth: { colour: "--line-4", width: 1.5, dash: [10, 3, 2, 3] },
  fifth: { colour: "--line-5", width: 2, dash: [14, 4] },
  sixth: { colour: "--line-6", width: 2, dash: [4, 2, 1, 2] },
  beneath: { colour: "--line-beneath", width: 6, dash: [] },
};
const STYLE_ORDER = ["first", "second", "third", "fourth", "fifth", "sixth"];

/** After the last colour the first comes again, with another dash. */
function styleAt(index) {
  const name = (at) => STYLE_ORDER[at % STYLE_ORDER.length];
  const round = Math.floor(index / STYLE_ORDER.length);
  return { ...STYLES[name(index)], dash: STYLES[name(index + 3 * round)].dash };
}

const colourOf = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// ---- Fewer points ----------------------------------------------------------------------------------

const MERGE = {
  max: (values) => values.reduce((a, b) => Math.max(a, b)),
  min: (values) => values.reduce((a, b) => Math.min(a, b)),
  mean: (values) => values.reduce((a, b) => a + b) / values.length,
  first: (values) => values[0],
};

/** How many neighbours one point stands for when there are `count` of them. */
const groupSize = (count) => Math.max(1, Math.ceil(count / MOST_POINTS));

/** One value for each group of neighbours; null only where all of them are. */
function thinned(values, merge) {
  const size = groupSize(values.length);
  if (size === 1) return values;
  return Array.from({ length: Math.ceil(values.length / size) }, (_, index) => {
    const present = values.slice(index * size, (index + 1) * size).filter(isNumber);
    return present.length > 0 ? MERGE[merge](present) : null;
  });
}

// ---- Scales and axes -------------------------------------------------------------------------------

/** The next of …, 1, 2, 5, 10, … below or above. */
function roundStep(value, up) {
  const decade = 10 ** Math.floor(Math.log10(value) + 1e-9);
  const leading = value / decade;
  const steps = up ? [1, 2, 5, 10] : [5, 2, 1];
  return decade * steps.find((step) => (up ? step >= leading - 1e-9 : step <= leading + 1e-9));
}

function logRange(_, low, high) {
  if (!(high > 0)) return [0.1, 10];
  const from = roundStep(Math.max(low, LEAST_MS), false);
  const to = roundStep(high, true);
  return from < to ? [from, to] : [from / 2, to * 2];
}

function logSplits(u, _, from, to) {
  const leading = Math.log10(to / from) > 3 ? [1] : [1, 2, 5];
  const splits = [];
  for (let power = Math.floor(Math.log10(from)); 10 ** power <= to * 1.001; power += 1) {
    for (const step of leading) splits.push(Number((step * 10 ** power).toPrecision(2)));
  }
  return splits.filter((split) => split >= from * 0.999 && split <= to * 1.001);
}

const SCALES = {
  // Zeros stand at the bottom of a logarithmic scale.
  log: { distr: 3, log: 10, range: logRange, clamp: (u, value, low) => low },
  zero: { range: (u, low, high) => [0, high > 0 ? high * 1.06 : 1] },
};

const axisMilliseconds = (value) => (value >= 1_000 ? `${value / 1_000} s` : `${value} ms`);
const axisNumber = (value) => (value >= 1e6 ? `${plain(value / 1e6)} M` : plain(value));

/** 45 s, 1 min, 1:15 min. */
function axisTime(second) {
  // Room before the first second, where there is no other.
  if (second < 0) return "";
  if (second === 0) return "0";
  const [minutes, rest] = [Math.floor(second / 60), second % 60];
  return minutes > 0 && rest > 0 ? `${minutes}:${String(rest).padStart(2, "0")} min` : duration(second);
}

const TIME_STEPS = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 604_800,
];

/** The scale across, from the first to the last value; of a single value uPlot makes up a range of a hundred. */
function spanned(widened) {
  return (u) => {
    const [low, high] = [u.data[0][0], u.data[0].at(-1)];
    return widened(low, high);
  };
}

/** How the values across the plots are scaled and labelled. */
const ACROSS = {
  time: {
    axis: { incrs: TIME_STEPS, space: 72, values: (u, splits) => splits.map(axisTime) },
    range: spanned((low, high) => (low < high ? [low, high] : [low - 1, high + 1])),
    read: duration,
    sync: "time",
  },
  // Across is how many nines: 90 % is 1, 99 % is 2, 99.9 % is 3.
  percentile: {
    axis: { splits: percentileSplits, values: (u, splits) => splits.map(percentileLabel), label: "percentile" },
    range: spanned((low, high) => [0, Math.max(high, 1)]),
    read: (nines) => `${percentileLabel(nines)} %`,
  },
  value: {
    axis: { values: (u, splits) => splits.map(axisNumber), space: 60 },
    range: spanned((low, high) =>
      [low, high].map((end, index) => end + (index - 0.5) * Math.max((high - low) * 0.16, high * 0.04, 1)),
    ),
    read: plain,
  },
};

const ninesOf = (percentile) => Math.log10(100 / (100 - percentile));

function percentileLabel(nines) {
  return String(Number((100 - 100 / 10 ** nines).toFixed(Math.max(1, Math.ceil(nines)))));
}

function percentileSplits(u, _, from, to) {
  const room = u.bbox.width / devicePixelRatio / (to - from);
  const label = 7 * percentileLabel(to).length + 6;
  const every = Math.ceil(label / room);
  const splits = room * ninesOf(50) > 34 ? [0, ninesOf(50)] : [0];
  // The last label must not reach past the edge, 14 pixels from the plot.
  for (let nines = every; nines <= to && (to - nines) * room > label / 2 - 14; nines += every) splits.push(nines);
  return splits;
}

function axis(extra) {
  const colour = colourOf("--muted");
  const line = { stroke: colourOf("--grid"), width: 1 };
  return {
    font: FONT,
    labelFont: FONT,
    size: 30,
    labelSize: 18,
    labelGap: 0,
    stroke: colour,
    grid: line,
    ticks: { ...line, size: 5 },
    // Whatever is asked for is labelled: by itself a logarithmic scale leaves out all but 1, 10, 100.
    filter: (u, splits) => splits,
    ...extra,
  };
}

const widthOfLabels = (u, labels) => 16 + 7 * Math.max(3, ...(labels ?? []).map((label) => label?.length ?? 0));

// ---- Drawing ---------------------------------------------------------------------------------------

/** A value without neighbours has no line; it is a dot. */
function lonely(u, index, shown) {
  if (shown) return null;
  const values = u.data[index];
  const alone = (_, at) => isNumber(values[at]) && !isNumber(values[at - 1]) && !isNumber(values[at + 1]);
  return u.series[index].spanGaps ? null : values.map((_, at) => at).filter((at) => alone(values[at], at));
}

function line({ label, style, dots = false, hollow = false, spanGaps = false }) {
  const stroke = colourOf(style.colour);
  const shape = { label, stroke, width: style.width, dash: style.dash, spanGaps };
  if (style === STYLES.beneath) return { ...shape, points: { show: false } };
  if (!dots) return { ...shape, points: { size: 5, filter: lonely } };
  return {
    ...shape,
    paths: () => null,
    points: { show: true, size: 11, width: 2, fill: hollow ? colourOf("--surface") : stroke },
  };
}

const PHASES = {
  connect: "connecting",
  warmup: "warm-up",
  measure: "measured",
  settle: "settling",
  verify: "verifying",
};

/** Shades what was not measured, and names the phases that have room for it. */
function shade(u, phases) {
  const { ctx, bbox } = u;
  const position = (second) => Math.min(Math.max(u.valToPos(second, "x", true), bbox.left), bbox.left + bbox.width);
  ctx.save();
  ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
  ctx.textBaseline = "bottom";
  for (const { phase, from, to } of phases) {
    const [left, right] = [position(from), position(to)];
    if (phase !== "measure") {
      ctx.fillStyle = colourOf("--shade");
      ctx.fillRect(left, bbox.top, right - left, bbox.height);
    }
    // The names stand above the plot, where no line runs through them.
    const name = PHASES[phase] ?? phase;
    if (ctx.measureText(name).width + 6 * devicePixelRatio < right - left) {
      ctx.fillStyle = colourOf("--muted");
      ctx.fillText(name, left + 1, bbox.top - 2 * devicePixelRatio);
    }
  }
  ctx.restore();
}

/** One plot in its figure. `plot` is `{x, lines, across, scale, format, phases, mark}`. */
class Plot {
  constructor(figure, plot) {
    this.figure = figure;
    this.plot = plot;
    this.hidden = new Set();
    this.chart = element("div", { className: "chart", tabIndex: 0 });
    this.chart.setAttribute("role", "group");
    const title = figure.querySelector("h3").textContent;
    this.chart.setAttribute(
      "aria-label",
      `${title}: ${plot.lines.map((one) => one.label).join(", ")}. Arrow keys read the values.`,
    );
    this.reading = element("div", { className: "reading", hidden: true });
    this.reading.setAttribute("role", "status");
    this.chart.addEventListener("keydown", (event) => this.move(event));
    this.chart.addEventListener("blur", () => this.leave());
    figure.append(this.chart, this.legend());
    this.draw();
    new ResizeObserver(() => this.fit()).observe(this.chart);
  }

  /** Draws anew, in the colours of now. */
  draw(width = this.chart.clientWidth) {
    this.u?.destroy();
    const { x, lines, across, scale, format, phases = [], mark } = this.plot;
    const options = {
      width,
      height: PLOT_HEIGHT,
      legend: { show: false },
      padding: [phases.length > 0 ? 18 : 8, 14, 0, 0],
      scales: { x: { time: false, range: across.range }, y: SCALES[scale] },
      axes: [
        axis(across.axis),
        axis({
          values: (u, splits) => splits.map(format.axis),
          size: widthOfLabels,
          space: 28,
          ...(scale === "log" ? { splits: logSplits } : {}),
        }),
      ],
      series: [{}, ...lines.map(line)],
      cursor: {
        y: false,
        drag: { x: false, y: false },
        points: { size: 7 },
        ...(across.sync ? { sync: { key: across.sync } } : {}),
      },
      hooks: {
        drawClear: [(u) => shade(u, phases)],
        draw: [(u) => this.drawn(u, mark)],
        setCursor: [(u) => this.read(u)],
      },
    };
    this.u = new uPlot(options, [x, ...lines.map((one) => one.values)], this.chart);
    for (const index of this.hidden) this.u.setSeries(index, { show: false });
    this.u.over.append(this.reading);
  }

  drawn(u, mark) {
    if (isNumber(mark)) {
      const at = Math.round(u.valToPos(mark, "x", true));
      u.ctx.save();
      u.ctx.strokeStyle = colourOf("--muted");
      u.ctx.lineWidth = devicePixelRatio;
      u.ctx.beginPath();
      u.ctx.moveTo(at, u.bbox.top);
      u.ctx.lineTo(at, u.bbox.top + u.bbox.height);
      u.ctx.stroke();
      u.ctx.restore();
    }
    this.figure.dataset.drawn = "true";
  }

  fit() {
    const width = this.chart.clientWidth;
    if (width > 0 && width !== this.u.width) this.u.setSize({ width, height: PLOT_HEIGHT });
  }

  /** The names of the lines, each of which hides or shows its own. */
  legend() {
    const buttons = this.plot.lines.map((one, index) => {
      const button = element("button", { type: "button" }, swatch(one), element("span", {}, one.label));
      button.setAttribute("aria-pressed", "true");
      button.addEventListener("click", () => {
        const show = this.hidden.delete(index + 1);
        if (!show) this.hidden.add(index + 1);
        button.setAttribute("aria-pressed", String(show));
        this.u.setSeries(index + 1, { show });
      });
      return button;
    });
    return element("div", { className: "legend" }, ...buttons);
  }

  move(event) {
    const last = this.plot.x.length - 1;
    const at = this.u.cursor.idx;
    const steps = { ArrowLeft: (at ?? last + 1) - 1, ArrowRight: (at ?? -1) + 1, Home: 0, End: last };
    if (event.key === "Escape") return this.leave();
    if (!(event.key in steps)) return undefined;
    event.preventDefault();
    const to = Math.min(Math.max(steps[event.key], 0), last);
    return this.u.setCursor({ left: this.u.valToPos(this.plot.x[to], "x"), top: 0 }, true, true);
  }

  leave() {
    this.u.setCursor({ left: -10, top: -10 }, true, true);
  }

  /** Shows the values under the cursor, in the plot that is pointed at only. */
  read(u) {
    const { idx, left } = u.cursor;
    const pointedAt = this.chart.matches(":hover, :focus");
    this.reading.hidden = !pointedAt || idx === null || idx === undefined || left < 0;
    if (this.reading.hidden) return;
    const { x, lines, across, format } = this.plot;
    const shown = lines.filter((one, index) => !this.hidden.has(index + 1) && isNumber(one.values[idx]));
    const rows = shown.map((one) =>
      element("div", {}, swatch(one), `${one.label} `, element("b", {}, format.read(one.values[idx]))),
    );
    this.reading.replaceChildren(element("div", { className: "at" }, across.read(x[idx])), ...rows);
    this.reading.classList.toggle("leftwards", left > u.over.clientWidth / 2);
    this.reading.style.setProperty("--at", `${left}px`);
  }
}

/** A piece of the line, as the legend shows it. */
function swatch({ style, dots, hollow }) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 30 12");
  svg.setAttribute("aria-hidden", "true");
  const shape = document.createElementNS(svg.namespaceURI, dots ? "circle" : "path");
  const looks = dots
    ? { cx: 15, cy: 6, r: 4.5, "stroke-width": 2 }
    : { d: "M1 6h28", "stroke-width": style.width, "stroke-dasharray": style.dash.join(" ") };
  for (const [name, value] of Object.entries(looks)) shape.setAttribute(name, value);
  shape.style.stroke = `var(${style.colour})`;
  shape.style.fill = dots && !hollow ? `var(${style.colour})` : "none";
  svg.append(shape);
  return svg;
}
