// The tables. Names, errors and addresses in them come from outside: they are only ever set as text.

function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

/** Fills the place of a table. Cells are text or elements; the columns named in `numbers` are aligned as such. */
function table(name, heads, lines, numbers = []) {
  const place = document.querySelector(`[data-table="${name}"]`);
  if (lines.length === 0) return place.replaceChildren(element("p", { className: "empty" }, "Nothing was measured."));
  const alignment = (index) => ({ className: numbers.includes(index) ? "number" : "" });
  const head = heads.map((text, index) => element("th", { scope: "col", ...alignment(index) }, text));
  const body = lines.map(([first, ...cells]) => {
    const values = cells.map((cell, index) => element("td", alignment(index + 1), cell));
    return element("tr", {}, element("th", { scope: "row" }, first), ...values);
  });
  const top = heads.length > 0 ? [element("thead", {}, element("tr", {}, ...head))] : [];
  // What is wider than the screen is scrolled, by keyboard too.
  place.tabIndex = 0;
  place.setAttribute("role", "region");
  place.setAttribute("aria-label", `Table: ${name}`);
  return place.replaceChildren(element("table", { className: name }, ...top, element("tbody", {}, ...body)));
}

const outcome = (passed, good, bad) =>
  element("span", { className: passed ? "good" : "bad" }, passed ? `✓ ${good}` : `✗ ${bad}`);

const KINDS = { slo: "service level", correctness: "correctness", harness: "harness" };
const MEANINGS = {
  lost: "acknowledged, but did not reach a recipient",
  duplicated: "arrived more than once",
  reordered: "arrived after a later one",
  misdelivered: "reached somebody it was not for",
  contradicted: "arrived with another sequence number than acknowledged",
  absent: "acknowledged, but not in the history afterwards",
  bottleneck: "whether the harness itself kept up",
};

function showChecks() {
  const lines = (report.checks ?? []).map((check) => {
    const name = element("div", {}, check.name);
    if (MEANINGS[check.name]) name.append(element("small", {}, MEANINGS[check.name]));
    if (check.examples?.length > 0) name.append(examples(check.examples));
    return [
      name,
      outcome(check.passed, "passed", "failed"),
      check.measured,
      check.limit,
      KINDS[check.kind] ?? check.kind,
    ];
  });
  table("checks", ["Check", "Result", "Measured", "Allowed", "Kind"], lines);
}

function examples(all) {
  return element(
    "details",
    {},
    element("summary", {}, counted(all.length, "example")),
    element("ul", {}, ...all.map((example) => element("li", {}, example))),
  );
}

function showLatencies() {
  const quantiles = ["mean", "p50", "p90", "p99", "p999", "max"];
  const cells = (figures) => [plain(figures.count), ...quantiles.map((quantile) => milliseconds(figures[quantile]))];
  const lines = (report.latencies ?? []).flatMap((latency) => {
    const name = element("div", {}, latency.name, element("small", {}, latency.title ?? ""));
    const own = [[name, ...cells(latency)]];
    const uncorrected = element("small", {}, "uncorrected: from the actual send");
    return latency.uncorrected ? [...own, [uncorrected, ...cells(latency.uncorrected)]] : own;
  });
  table(
    "latencies",
    ["Latency", "Count", "Mean", "p50", "p90", "p99", "p99.9", "Highest"],
    lines,
    [1, 2, 3, 4, 5, 6, 7],
  );
}

function showStages() {
  const stages = report.stages ?? [];
  if (stages.length === 0) return byId("stages").remove();
  const longest = Math.max(...stages.map((stage) => stage.p99 ?? 0));
  const bar = (stage) => {
    const node = element("div", { className: "bar" }, element("span"), element("span"));
    [stage.p99, stage.p50].forEach((value, index) => {
      node.children[index].style.width = `${longest > 0 ? (100 * value) / longest : 0}%`;
    });
    node.setAttribute("aria-hidden", "true");
    return node;
  };
  return table(
    "stages",
    ["Stage", "", "p50", "p99", "Mean", "Count"],
    stages.map((stage) => [
      stage.name.replaceAll("_", " "),
      bar(stage),
      milliseconds(stage.p50),
      milliseconds(stage.p99),
      milliseconds(stage.mean),
      plain(stage.count),
    ]),
    [2, 3, 4, 5],
  );
}

function showDetails() {
  const all = (record) => Object.entries(record ?? {}).map(([key, value]) => labelled(key, value));
  const { verdict, scenario, startedAt, target, host, program } = report;
  table("counts", [], all(report.counts), [1]);
  table("parameters", [], all(report.parameters));
  table("phases", [], all(report.phases), [1]);
  table("harness", [], all(report.harness));
  const run = all({ verdict, scenario, started: startedAt });
  const build = all({ harnessVersion: program?.version, harnessCommit: program?.commit });
  table("program", [], [...run, ...all(target), ...all(host), ...build]);
}
