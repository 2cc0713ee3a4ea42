import { rangeUtil } from '@grafana/data';
import { formatDuration, parseDuration } from '../time.js';

// Prometheus refuses more points than that.
const MOST_POINTS = 11_000;

/** The step of a query, as Grafana finds it: a round one that gives about a point per pixel. */
export function findStep({ from, to }, { maxDataPoints, minInterval }) {
  const span = to - from;
  const step = rangeUtil.roundInterval(span / maxDataPoints);
  return Math.max(step, minInterval, Math.ceil(span / MOST_POINTS / 1000) * 1000);
}

/** Start and end on multiples of the step, so that the points stay the same from one refresh to the next. */
export function alignRange({ from, to }, step) {
  return { start: Math.floor(from / step) * step, end: Math.floor(to / step) * step, step };
}

/** Variables that stand for times. */
export function timeVariables({ from, to }, step, scrapeInterval) {
  const span = to - from;
  const values = {
    __interval: formatDuration(step),
    __interval_ms: step,
    __rate_interval: formatDuration(Math.max(step + scrapeInterval, 4 * scrapeInterval)),
    __rate_interval_ms: Math.max(step + scrapeInterval, 4 * scrapeInterval),
    __range: `${Math.round(span / 1000)}s`,
    __range_s: Math.round(span / 1000),
    __range_ms: span,
    __from: from,
    __to: to,
  };
  return new Map(Object.entries(values).map(([name, value]) => [name, { name, value: String(value) }]));
}

/** The shortest step that query, panel and data source allow. */
export function minInterval(target, panel, scrapeInterval, variables) {
  const text = target.interval || panel.interval;
  if (!text) return scrapeInterval;
  const value = text
    .replace(/^[>=\s]+/, '')
    .replace(/\$\{?(\w+)\}?/g, (reference, name) => variables.get(name)?.value ?? reference);
  return parseDuration(value);
}
