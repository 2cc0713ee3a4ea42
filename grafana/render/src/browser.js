import { chromium } from 'playwright-core';

const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-background-networking'];

export async function openBrowser(executablePath) {
  return chromium.launch({ executablePath, args: FLAGS });
}

/** Draws one dashboard to a file; returns what the page says about its panels. */
export async function takePicture(browser, { url, path, settings, width, scale, timeZone, timeout }) {
  const context = await browser.newContext({
    viewport: { width, height: 1000 },
    deviceScaleFactor: scale,
    timezoneId: timeZone,
    locale: 'en-US',
  });
  try {
    const page = await context.newPage();
    const problems = [];
    page.on('pageerror', (error) => problems.push({ message: `error on the page: ${error.message}` }));
    page.on('response', (response) => {
      const { pathname } = new URL(response.url());
      if (response.status() === 404 && !pathname.startsWith('/prometheus/'))
        problems.push({ message: `there is no ${pathname}` });
    });
    await page.addInitScript((value) => (window.renderSettings = value), settings);
    await page.goto(url);
    const report = await page.waitForFunction(() => window.renderReport, undefined, { timeout });
    const { panels, problems: found } = await report.jsonValue();
    if (panels.length) await page.locator('#root').screenshot({ path });
    return { panels, problems: [...found, ...problems] };
  } finally {
    await context.close();
  }
}
