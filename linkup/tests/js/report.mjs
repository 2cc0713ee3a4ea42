// The HTML report of a load test in a real browser: that all of it is drawn, in light and dark, and nothing is fetched.
//
//   node report.mjs PATH_TO_REPORT_HTML [SCREENSHOT_DIR]
//
// CHROMIUM_PATH names the browser (default /usr/bin/chromium). Prints a line for each thing that it has seen to be
// true; ends with status 0 if all of it is, and with 1 and the reason otherwise, within two minutes.

import { mkdir } from "node:fs/promises";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { LAPTOP, PHONE, check, incidents, run, until, watch } from "./page.mjs";

const [file, screenshotDir] = process.argv.slice(2);
if (!file) {
  console.error("usage: node report.mjs PATH_TO_REPORT_HTML [SCREENSHOT_DIR]");
  process.exit(2);
}
const address = pathToFileURL(path.resolve(file)).href;

/** A grid and its labels are grey. Even a single dot of a line has this many pixels in colour. */
const COLOURED_PIXELS = 8;

/** What each plot is drawn from. Where any of it is a number, the plot must be drawn. */
const SOURCES = {
  latency: (report) => column(report, "p50", "p90", "p99", "max"),
  percentiles: (report) => report.latencies.map((latency) => latency.p50),
  throughput: (report) => column(report, "offered", "sent", "acknowledged", "delivered"),
  errors: (report) => column(report, "errors", "skipped"),
  connections: (report) => column(report, "connections"),
  lateness: (report) => column(report, "lateP99"),
  cpu: (report) => report.resources.flatMap((process) => process.cores),
  memory: (report) => report.resources.flatMap((process) => process.residentBytes),
  search: (report) => report.search.trials.map((trial) => trial.p99),
};

function column({ series }, ...names) {
  return names.flatMap((name) => series.rows.map((row) => row[series.columns.indexOf(name)]));
}

async function openReport(browser, colorScheme, viewport) {
  const context = await browser.newContext({ viewport, colorScheme });
  await context.route("**", (route) => {
    const { protocol } = new URL(route.request().url());
    if (route.request().url() === address || protocol === "data:") return route.continue();
    incidents.push(`request for ${route.request().url()}`);
    return route.abort();
  });
  const page = await context.newPage();
  // `watch` compares hosts, and a file has none: what is fetched is refused above.
  watch(page, address);
  await page.goto(address);
  return page;
}

/** Of every plot: its name, its state, the text in place of it, how many pixels are drawn and how many in colour. */
async function drawnPlots(page) {
  return page.locator("[data-plot]").evaluateAll((figures) =>
    figures.map((figure) => {
      const canvas = figure.querySelector("canvas");
      const seen = {
        name: figure.dataset.plot,
        drawn: figure.dataset.drawn,
        text: figure.querySelector(".empty")?.innerText,
        other: 0,
        coloured: 0,
      };
      if (!canvas) return seen;
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      for (let at = 0; at < data.length; at += 4) {
        const [red, green, blue, alpha] = data.subarray(at, at + 4);
        if (alpha === 0) continue;
        seen.other += 1;
        if (alpha > 120 && Math.max(red, green, blue) - Math.min(red, green, blue) > 60) seen.coloured += 1;
      }
      return seen;
    }),
  );
}

async function looksRight(page, scheme) {
  const settled = async () => (await drawnPlots(page)).every(({ drawn }) => drawn !== undefined);
  await until(`every plot is drawn or says why not, ${scheme}`, settled);
  const report = JSON.parse(await page.locator("#report").textContent());
  const plots = await drawnPlots(page);
  const expected = Object.keys(SOURCES).filter((name) => name !== "search" || report.search);
  check(
    expected.every((name) => plots.filter((plot) => plot.name === name).length === 1),
    `each plot is there, ${scheme}: ${expected}`,
  );
  check(plots.length === expected.length, `no other plot is there, ${scheme}`);
  for (const { name, drawn, text, other, coloured } of plots) {
    const lines = `${coloured} pixels of lines`;
    if (!SOURCES[name](report).some(Number.isFinite)) {
      check(
        drawn === "empty" && /nothing was measured/i.test(text),
        `the plot ${name} says that nothing was measured, ${scheme}`,
      );
    } else {
      check(
        drawn === "true" && other > coloured && coloured >= COLOURED_PIXELS,
        `the plot ${name} is drawn, ${scheme}: ${lines}`,
      );
    }
  }
  const stages = await page.locator('[data-table="stages"] tbody tr').count();
  check(stages === report.stages.length, `there are ${stages} stages, ${scheme}`);
  const verdict = page.locator("#verdict-sentence");
  const word = await page.locator("#verdict-word").innerText();
  check(
    (await verdict.isVisible()) && (await verdict.innerText()).length > 20,
    `the verdict is there in words, ${scheme}: ${word}. ${await verdict.innerText()}`,
  );
  check(
    !/undefined|NaN|\[object|Infinity/.test(await page.locator("body").innerText()),
    `no value is missing its text, ${scheme}`,
  );
}

/** The plot is read with the arrow keys, and a line is hidden and shown by its name. */
async function worksByKeyboard(page) {
  const figure = page.locator('[data-plot][data-drawn="true"]').first();
  if ((await figure.count()) === 0) return;
  await figure.locator(".chart").focus();
  await page.keyboard.press("End");
  const reading = figure.locator(".reading");
  await reading.waitFor({ state: "visible" });
  check(/\d/.test(await reading.innerText()), "the keyboard reads the values of a plot");
  const name = figure.locator(".legend button").first();
  for (const pressed of ["false", "true"]) {
    await name.press("Enter");
    check(
      (await name.getAttribute("aria-pressed")) === pressed,
      `the keyboard ${pressed === "true" ? "shows" : "hides"} a line`,
    );
  }
  // The cursor is not part of the picture.
  await name.blur();
}

async function picture(page, name) {
  if (!screenshotDir) return;
  await mkdir(screenshotDir, { recursive: true });
  await page.screenshot({ path: path.join(screenshotDir, `${name}.png`), fullPage: true });
}

run(120_000, async (browser) => {
  const page = await openReport(browser, "light", LAPTOP);
  check((await page.title()).length > 0, `the title is "${await page.title()}"`);
  await looksRight(page, "light");
  await picture(page, "report-light");
  await worksByKeyboard(page);
  // The colours follow the system while the page is open.
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const before = await ground();
  await page.emulateMedia({ colorScheme: "dark" });
  await until("the page turns dark", async () => (await ground()) !== before);
  await looksRight(page, "turned dark");
  await page.context().close();

  const dark = await openReport(browser, "dark", LAPTOP);
  await looksRight(dark, "dark");
  await picture(dark, "report-dark");
  await dark.context().close();

  const phone = await openReport(browser, "light", PHONE);
  await looksRight(phone, "on a phone");
  const { scroll, width } = await phone.evaluate(() => ({
    scroll: document.documentElement.scrollWidth,
    width: innerWidth,
  }));
  check(width === PHONE.width && scroll <= width, `nothing reaches past ${PHONE.width} pixels: ${scroll}`);
  await picture(phone, "report-phone");
});
