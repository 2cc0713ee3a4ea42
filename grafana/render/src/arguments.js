import { parseArgs } from 'node:util';
import { parseDuration } from './time.js';

export const USAGE = `usage: node render.mjs --prometheus URL --out DIRECTORY [option …]

  --dashboards DIRECTORY   where the dashboards' JSON is (default: grafana/dashboards)
  --dashboard UID          only this dashboard; may be given several times
  --from TIME, --to TIME   now-15m, an ISO date or milliseconds (default: now-15m to now)
  --var NAME=VALUE         what a variable is set to; several values with commas; may be given several times
  --scrape-interval TIME   as in the data source's settings (default: 15s)
  --width PIXELS           width of the picture (default: 1600)
  --scale FACTOR           pixels of the picture per pixel of the page (default: 1)
  --expand-rows            draw the panels of collapsed rows, too
  --theme dark|light       (default: dark)
  --timezone NAME          of the browser (default: UTC)
  --report FILE            writes what was drawn, and what was not, as JSON
`;

export class UsageError extends Error {}

export function parseArguments(words) {
  const { values } = parse(words);
  for (const required of ['prometheus', 'out']) {
    if (!values[required]) throw new UsageError(`--${required} is missing`);
  }
  if (!['dark', 'light'].includes(values.theme)) throw new UsageError(`there is no theme ${values.theme}`);
  return {
    prometheus: values.prometheus.replace(/\/$/, ''),
    out: values.out,
    dashboards: values.dashboards,
    uids: values.dashboard,
    from: values.from,
    to: values.to,
    choices: Object.fromEntries(values.var.map(assignment)),
    scrapeInterval: parseDuration(values['scrape-interval']),
    width: positive('width', values.width),
    scale: positive('scale', values.scale),
    expandRows: values['expand-rows'],
    theme: values.theme,
    timeZone: values.timezone,
    report: values.report,
  };
}

function parse(args) {
  const text = (value) => ({ type: 'string', ...(value !== undefined && { default: value }) });
  const list = { type: 'string', multiple: true, default: [] };
  const options = {
    prometheus: text(),
    out: text(),
    dashboards: text(),
    dashboard: list,
    from: text('now-15m'),
    to: text('now'),
    var: list,
    'scrape-interval': text('15s'),
    width: text('1600'),
    scale: text('1'),
    'expand-rows': { type: 'boolean', default: false },
    theme: text('dark'),
    timezone: text('UTC'),
    report: text(),
  };
  try {
    return parseArgs({ args, options });
  } catch (error) {
    throw new UsageError(error.message);
  }
}

function assignment(text) {
  const at = text.indexOf('=');
  if (at < 1) throw new UsageError(`--var wants NAME=VALUE and got ${text}`);
  return [text.slice(0, at), text.slice(at + 1)];
}

function positive(name, text) {
  const value = Number(text);
  if (!(value > 0)) throw new UsageError(`--${name} wants a number above 0 and got ${text}`);
  return value;
}
