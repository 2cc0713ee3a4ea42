/** The name of a series as Grafana's Prometheus data source gives it; none for `__auto`, where the panel finds one. */
export function seriesName(labels, { legendFormat, expr }) {
  if (legendFormat === '__auto') return Object.keys(labels).length ? undefined : expr;
  if (!legendFormat) return metric(labels) || expr;
  return legendFormat.replace(/\{\{\s*(.+?)\s*\}\}/g, (_, label) => labels[label] ?? '');
}

function metric({ __name__: name = '', ...labels }) {
  const pairs = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
  return pairs.length ? `${name}{${pairs.join(', ')}}` : name;
}
