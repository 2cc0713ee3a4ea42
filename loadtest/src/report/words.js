// Numbers as people write them, and the verdict in words.

const NONE = "–";
/** Between a number and its unit: no line ends there. */
const GLUE = "\u00a0";
const grouped = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

/** 2,500; with decimals only where the number is small: 12.3, 0.42. */
function plain(value) {
  if (!isNumber(value)) return NONE;
  const size = Math.abs(value);
  if (size >= 100 || Number.isInteger(value)) return grouped.format(value);
  return String(Number(value.toFixed(size >= 10 ? 1 : size >= 0.1 ? 2 : 3)));
}

/** A latency, given in milliseconds. */
function milliseconds(value) {
  if (!isNumber(value)) return NONE;
  const [size, unit] = value < 10_000 ? [value, "ms"] : [value / 1_000, "s"];
  const rounded = size >= 100 ? Math.round(size) : Number(size.toPrecision(3));
  const digits = rounded === 0 || rounded >= 100 ? 0 : rounded >= 10 ? 1 : rounded >= 0.1 ? 2 : 3;
  return `${digits > 0 ? rounded.toFixed(digits) : plain(Math.round(rounded))}${GLUE}${unit}`;
}

function bytes(value) {
  if (!isNumber(value)) return NONE;
  for (const [unit, size] of [
    ["GB", 1e9],
    ["MB", 1e6],
    ["KB", 1e3],
  ]) {
    if (Math.abs(value) >= size) return `${plain(value / size)}${GLUE}${unit}`;
  }
  return `${plain(value)}${GLUE}B`;
}

function percent(part, whole) {
  if (!(whole > 0)) return NONE;
  const share = (100 * part) / whole;
  // 99.996 % is not "100 %": a part is never rounded up to all of it.
  const rounded = share < 100 ? Math.min(Number(share.toFixed(2)), 99.99) : Number(share.toFixed(2));
  return `${rounded}${GLUE}%`;
}

/** 7.3 s, 12 min, 1 h 30 min. */
function duration(seconds) {
  if (!isNumber(seconds)) return NONE;
  if (seconds < 60) return `${plain(seconds)}${GLUE}s`;
  const whole = Math.round(seconds);
  const parts = [
    [Math.floor(whole / 3_600), "h"],
    [Math.floor(whole / 60) % 60, "min"],
    [whole % 60, "s"],
  ];
  return parts
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count}${GLUE}${unit}`)
    .join(GLUE);
}

/** "memoryBytes" is "memory", and its value is one in bytes. */
const UNITS = [
  [/Bytes$/, bytes],
  [/(?<=[a-z])Ms$/, milliseconds],
  [/(?<=[a-z])Us$/, (value) => `${plain(value)}${GLUE}µs`],
  [/(?<=[a-z])S$/, duration],
];

function labelled(key, value) {
  const [suffix, format] = UNITS.find(([pattern]) => pattern.test(key)) ?? [/$^/, plain];
  const words = key
    .replace(suffix, "")
    .replace(/(?<=[a-z0-9])(?=[A-Z])/g, " ")
    .toLowerCase();
  return [words, scalar(value, format)];
}

/** Any value as text; numbers in it, however deep, by `format`. */
function scalar(value, format = plain) {
  if (value === null || value === undefined) return NONE;
  if (value === true) return "yes";
  if (value === false) return "no";
  if (isNumber(value)) return format(value);
  if (Array.isArray(value)) return value.map((one) => scalar(one, format)).join(", ") || NONE;
  if (typeof value !== "object") return String(value);
  const parts = Object.entries(value).map(([key, one]) => {
    const [words, text] = labelled(key, one);
    return `${words} ${isNumber(one) && format !== plain ? format(one) : text}`;
  });
  return parts.join(", ") || NONE;
}

const counted = (count, one, many = `${one}s`) => `${plain(count)} ${count === 1 ? one : many}`;

/** a, b and c */
function listed(parts) {
  return parts.length < 2 ? parts.join("") : `${parts.slice(0, -1).join(", ")} and ${parts.at(-1)}`;
}

const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;

// ---- The verdict -----------------------------------------------------------------------------------

/** What can be wrong with messages, and how it is said of them. */
const FAULTS = {
  lost: "lost",
  duplicated: "delivered twice",
  reordered: "out of order",
  misdelivered: "delivered to a stranger",
  contradicted: "contradicted",
  absent: "absent from the history afterwards",
};

/** The latency that the verdict speaks of. */
function mainLatency({ latencies = [] }) {
  return latencies.find((latency) => latency.name === "delivery") ?? latencies[0];
}

/** `{state, mark, word, text, reasons}`; the mark and the word say it without colour. */
function verdictOf(report) {
  const [state, mark, word] = !report.passed
    ? ["failed", "✗", report.interrupted ? "Failed, and interrupted" : "Failed"]
    : report.interrupted
      ? ["interrupted", "!", "Interrupted"]
      : ["passed", "✓", "Passed"];
  const told = wasMeasured(report) ? [reached(report), swiftness(report), integrity(report)] : ["nothing was measured"];
  const text = sentence([asked(report), [cutShort(report), ...told].filter(Boolean).join("; ")].join(": "));
  return { state, mark, word, text, reasons: reasons(report) };
}

function wasMeasured({ phases, latencies, counts, search }) {
  return Boolean(search) || (phases?.measuredS ?? 0) > 0 || (latencies?.length ?? 0) > 0 || (counts?.sent ?? 0) > 0;
}

function asked({ scenario, parameters = {}, search, target }) {
  const users = isNumber(parameters.users) ? counted(parameters.users, "user") : "the users";
  const during = parameters.durationS > 0 ? ` for ${duration(parameters.durationS)}` : "";
  const by = search?.parameter === "users" ? "" : ` with ${users}`;
  if (search) return `the highest ${search.parameter} that holds the service level was looked for${by}`;
  if (scenario === "connect") return `${users} were to connect to ${target?.url}`;
  if (scenario === "idle") return `${users} were to stay connected${during}`;
  const rates = ratesOf(parameters);
  const total = rates.reduce((sum, [, rate]) => sum + rate, 0);
  if (total === 0) return `${users} were to use ${target?.url}${during}`;
  const action = rates.length === 1 && rates[0][0] === "send" ? "message" : "action";
  return `${users} were to ${action === "message" ? "send" : "take"} ${counted(total, action)} a second${during}`;
}

/** What was asked for in a second, by kind. */
function ratesOf({ rate } = {}) {
  const rates = isNumber(rate) ? [["in all", rate]] : Object.entries(rate ?? {});
  return rates.filter(([, value]) => value > 0);
}

function cutShort({ interrupted, phases }) {
  if (!interrupted) return "";
  return phases?.measuredS > 0 ? `interrupted after ${duration(phases.measuredS)}` : "interrupted early";
}

function reached({ scenario, search, counts = {}, rates = {} }) {
  if (search) return found(search);
  if (scenario === "connect") return `${plain(counts.connects)} did, ${plain(rates.connects)} a second`;
  if (scenario === "idle")
    return `${plain(counts.connects)} did connect, and ${plain(counts.disconnects)} were cut off`;
  if (!(rates.offered > 0)) return "";
  return `${plain(rates.achieved)} a second were reached (${percent(rates.achieved, rates.offered)})`;
}

function found({ parameter, found: value, spread, trials = [] }) {
  const unit = parameter === "rate" ? " a second" : ` ${parameter}`;
  if (!isNumber(value)) return `none of ${counted(trials.length, "trial")} held it`;
  const [low, high] = [Math.min(...(spread ?? [])), Math.max(...(spread ?? []))];
  const range = low < high ? ` (${plain(low)} to ${plain(high)} when confirmed)` : "";
  return `${plain(value)}${unit} held${range}`;
}

function swiftness(report) {
  const latency = mainLatency(report);
  if (!latency) return "";
  const [most, half] = [milliseconds(latency.p99), milliseconds(latency.p50)];
  if (latency.name === "delivery") return `99${GLUE}% of the deliveries took at most ${most}, and half of them ${half}`;
  return `“${latency.name}” took at most ${most} in 99${GLUE}% of the cases, and ${half} in half of them`;
}

function integrity({ counts = {} }) {
  const faults = Object.keys(FAULTS).filter((name) => counts[name] > 0);
  const missing = ["failed", "unanswered", "skipped"].filter((name) => counts[name] > 0);
  const also = missing.map((name) => `${plain(counts[name])} ${name}`);
  if (faults.length > 0) return listed([...faults.map((name) => `${plain(counts[name])} ${FAULTS[name]}`), ...also]);
  const due = counts.expected > 0 || counts.delivered > 0;
  const sound = due ? "nothing was lost, doubled or out of order" : "no message was due, so none could be lost";
  return also.length > 0 ? `${sound}, but ${listed(also)}` : sound;
}

/** Why it failed: the checks that did, or what the run itself says. */
function reasons({ passed, checks = [], verdict }) {
  const failed = checks
    .filter((check) => !check.passed)
    .map((check) =>
      check.name === "bottleneck"
        ? `The harness was the bottleneck: ${check.measured}, allowed is ${check.limit}. The run tells little of the server.`
        : `${check.name}: ${check.measured}, allowed is ${check.limit}`,
    );
  return failed.length > 0 || passed ? failed : [String(verdict)];
}
