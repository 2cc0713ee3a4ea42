const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** Milliseconds of a Prometheus duration such as `15s` or `1h30m`. */
export function parseDuration(text) {
  const parts = [...text.matchAll(/(\d+)(ms|[smhdw])/g)];
  if (!parts.length || parts.map((part) => part[0]).join('') !== text) {
    throw new Error(`not a duration: ${JSON.stringify(text)}`);
  }
  return parts.reduce((sum, [, count, unit]) => sum + Number(count) * UNITS[unit], 0);
}

/** Milliseconds since 1970 of `now`, `now-15m`, an ISO date or milliseconds since 1970. */
export function parseTime(text, now) {
  const relative = /^now(?:([+-])(.+))?$/.exec(text);
  if (relative) {
    const [, sign, duration] = relative;
    return sign ? now + (sign === '-' ? -1 : 1) * parseDuration(duration) : now;
  }
  const time = /^\d+$/.test(text) ? Number(text) : Date.parse(text);
  if (Number.isNaN(time)) throw new Error(`not a time: ${JSON.stringify(text)}`);
  return time;
}

export function parseRange({ from, to }, now) {
  const range = { from: parseTime(from, now), to: parseTime(to, now), raw: { from, to } };
  if (range.from >= range.to) throw new Error(`the time range ${from} to ${to} is empty`);
  return range;
}

/** A duration in the largest unit that divides it, as Prometheus writes it. */
export function formatDuration(milliseconds) {
  const unit = ['w', 'd', 'h', 'm', 's'].find(
    (unit) => milliseconds >= UNITS[unit] && milliseconds % UNITS[unit] === 0,
  );
  return unit ? `${milliseconds / UNITS[unit]}${unit}` : `${Math.round(milliseconds)}ms`;
}
