const COLUMNS = 24;
const CELL_HEIGHT = 30;
const GAP = 8;

/**
 * Places a dashboard's panels on its grid, in grid units. Panels of a collapsed row are left out, or, with
 * `expandRows`, put below their row; what follows moves down, and gaps close upwards as they do in Grafana.
 */
export function arrange(panels, { expandRows = false } = {}) {
  const items = [];
  let shift = 0;
  for (const panel of [...panels].sort(byPosition)) {
    const hidden = (panel.type === 'row' && panel.collapsed && panel.panels) || [];
    const expand = expandRows && hidden.length > 0;
    const collapsed = panel.type === 'row' && Boolean(panel.collapsed) && !expand;
    const row = item(panel, shift);
    items.push({ ...row, collapsed, hiddenPanels: collapsed ? hidden.length : 0 });
    if (!expand) continue;
    const top = Math.min(...hidden.map(({ gridPos }) => gridPos.y));
    const bottom = Math.max(...hidden.map(({ gridPos }) => gridPos.y + gridPos.h));
    items.push(...hidden.map((nested) => item(nested, row.y + row.h - top)));
    shift += bottom - top;
  }
  return compact(items);
}

/** Pixels that an item of the grid covers on a grid of the given width. */
export function toPixels({ x, y, w, h }, gridWidth) {
  const column = (gridWidth - GAP * (COLUMNS - 1)) / COLUMNS;
  return {
    left: Math.round(x * (column + GAP)),
    top: y * (CELL_HEIGHT + GAP),
    width: Math.round(w * column + (w - 1) * GAP),
    height: h * CELL_HEIGHT + (h - 1) * GAP,
  };
}

function item(panel, shift) {
  const { x, y, w, h } = panel.gridPos;
  return { panel, x, y: y + shift, w, h };
}

function compact(items) {
  const placed = [];
  for (const next of items.sort((a, b) => a.y - b.y || a.x - b.x)) {
    const free = (y) => !placed.some((other) => overlap({ ...next, y }, other));
    let { y } = next;
    while (!free(y)) y += 1;
    while (y > 0 && free(y - 1)) y -= 1;
    placed.push({ ...next, y });
  }
  return placed;
}

function overlap(a, b) {
  return a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
}

function byPosition(a, b) {
  return a.gridPos.y - b.gridPos.y || a.gridPos.x - b.gridPos.x;
}
