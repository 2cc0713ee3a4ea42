#!/usr/bin/env node
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArguments, USAGE, UsageError } from './src/arguments.js';
import { openBrowser, takePicture } from './src/browser.js';
import { bundlePage } from './src/bundle.js';
import { choose, readDashboards } from './src/dashboards.js';
import { serve } from './src/server.js';
import { parseRange } from './src/time.js';

const DASHBOARDS = fileURLToPath(new URL('../dashboards', import.meta.url));
const CHROMIUM = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium';
const TIMEOUT = 60_000;

try {
  process.exitCode = (await main(parseArguments(process.argv.slice(2)))) ? 0 : 1;
} catch (error) {
  console.error(error instanceof UsageError ? `${error.message}\n\n${USAGE}` : error.message);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}

async function main({ prometheus, out, dashboards: directory, uids, report, ...options }) {
  const dashboards = await readDashboards(directory ?? DASHBOARDS);
  const wanted = choose(dashboards, uids);
  await mkdir(out, { recursive: true });
  const server = await serve(await bundlePage(), prometheus);
  const browser = await openBrowser(CHROMIUM);
  const results = [];
  try {
    for (const dashboard of wanted) {
      results.push(await draw(browser, server.url, dashboard, dashboards, { out, ...options }));
      print(results.at(-1));
    }
  } finally {
    await browser.close();
    await server.close();
  }
  if (report) await writeFile(report, `${JSON.stringify({ dashboards: results }, null, 2)}\n`);
  return results.every(({ problems }) => problems.length === 0);
}

async function draw(browser, url, dashboard, dashboards, { out, from, to, width, scale, timeZone, ...settings }) {
  const { uid, title } = dashboard;
  const path = join(out, `${uid}.png`);
  const links = dashboards.map(({ uid, title, tags }) => ({ uid, title, tags }));
  const range = parseRange({ from, to }, Date.now());
  const { panels, problems } = await takePicture(browser, {
    url,
    path,
    width,
    scale,
    timeZone,
    timeout: TIMEOUT,
    settings: { ...settings, dashboard, dashboards: links, range, width },
  });
  const withState = (wanted) =>
    panels.filter(({ state }) => state === wanted).map(({ id, title, type }) => ({ id, title, type }));
  return {
    uid,
    title,
    picture: path,
    range,
    noData: withState('no data'),
    noNumber: withState('no number'),
    problems,
    panels,
  };
}

function print({ picture, panels, noData, noNumber, problems }) {
  console.log(`${picture}: ${panels.length} panels`);
  for (const { title } of noData) console.log(`  no data: ${title}`);
  for (const { title } of noNumber) console.log(`  no number: ${title}`);
  for (const { title, message } of problems) console.error(`  error: ${title ? `${title}: ` : ''}${message}`);
}
