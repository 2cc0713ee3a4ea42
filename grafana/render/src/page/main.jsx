import React from 'react';
import { createRoot } from 'react-dom/client';
import { flushSync } from 'react-dom';
import { createTheme, ThemeContext } from '@grafana/data';
import { GlobalStyles } from '@grafana/ui';
import { arrange, toPixels } from '../model/layout.js';
import { unsupported } from '../model/support.js';
import { resolveVariables } from '../model/variables.js';
import { loadAnnotations } from '../query/annotations.js';
import { timeVariables } from '../query/interval.js';
import { loadPanelData } from '../query/panel-data.js';
import { lookup } from '../query/prometheus.js';
import { Dashboard, PADDING } from './dashboard.jsx';
import { settled } from './settled.js';

// What a panel's frame takes from its width.
const CHROME = 18;
const FONTS = ['400 12px Inter', '500 12px Inter'];

async function run({ dashboard, dashboards, range, choices, theme: mode, expandRows, scrapeInterval, width }) {
  const problems = checkPanels(dashboard.panels);
  const builtIn = timeVariables(range, scrapeInterval, scrapeInterval);
  const find = (query) => lookup(query, range);
  const variables = await resolveVariables(dashboard.templating?.list ?? [], { lookup: find, choices, builtIn });
  const gridWidth = width - 2 * PADDING;
  const context = { range, variables, scrapeInterval };
  const placed = arrange(dashboard.panels, { expandRows }).map((item) => ({
    ...item,
    pixels: toPixels(item, gridWidth),
  }));
  const annotations = await loadAnnotations(dashboard.annotations?.list ?? [], { ...context, width: gridWidth });
  const items = await Promise.all(placed.map((item) => load(item, problems, context)));
  const theme = createTheme({ colors: { mode } });
  const draw = (root, children) =>
    flushSync(() => createRoot(root).render(<ThemeContext.Provider value={theme}>{children}</ThemeContext.Provider>));
  draw(document.createElement('div'), <GlobalStyles />);
  await loadFonts();
  const onError = (panel, error) => problems.push({ ...identify(panel), message: error.message });
  draw(
    document.getElementById('root'),
    <Dashboard {...{ dashboard, dashboards, range, variables, annotations, items, gridWidth, onError }} />,
  );
  await settled();
  return {
    panels: items.filter(({ panel }) => panel.type !== 'row').map((item) => describe(item, problems)),
    problems,
  };
}

/** Charts measure and draw text once: its fonts have to be there before. */
async function loadFonts() {
  for (const font of FONTS) {
    const faces = await document.fonts.load(font);
    if (!faces.length) throw new Error(`the font ${font} is missing`);
  }
}

function checkPanels(panels) {
  return panels
    .flatMap((panel) => [panel, ...(panel.panels ?? [])])
    .flatMap((panel) => unsupported(panel).map((message) => ({ ...identify(panel), message })));
}

async function load(item, problems, context) {
  const { panel, pixels } = item;
  const unknown = problems.find(({ id }) => id === panel.id);
  if (panel.type === 'row' || unknown) return { ...item, error: unknown?.message };
  try {
    return { ...item, data: await loadPanelData(panel, { ...context, width: pixels.width - CHROME }) };
  } catch (error) {
    problems.push({ ...identify(panel), message: error.message });
    return { ...item, error: error.message };
  }
}

function describe({ panel, data }, problems) {
  const failed = problems.some(({ id }) => id === panel.id);
  const state = failed ? 'error' : data.frames.length ? (data.hasValues ? 'drawn' : 'no number') : 'no data';
  return { ...identify(panel), state, emptyQueries: data?.emptyQueries ?? [] };
}

function identify({ id, title, type }) {
  return { id, title, type };
}

run(window.renderSettings).then(
  (report) => (window.renderReport = report),
  (error) => (window.renderReport = { panels: [], problems: [{ message: error.message }] }),
);
