import { fieldReducers, standardTransformers } from '@grafana/data';

const PANELS = new Set(['timeseries', 'stat', 'bargauge', 'table', 'row']);
const TRANSFORMATIONS = new Set(Object.values(standardTransformers).map(({ id }) => id));

/** What a panel asks for and is not drawn here, each in words: nothing is left out in silence. */
export function unsupported(panel) {
  const problems = [];
  if (!PANELS.has(panel.type)) problems.push(`panel type ${panel.type} is not supported`);
  if (panel.libraryPanel) problems.push('library panels are not supported');
  if (panel.repeat) problems.push('repeated panels and rows are not supported');
  if (panel.timeShift) problems.push('a time shift is not supported');
  for (const { id } of panel.transformations ?? []) {
    if (!TRANSFORMATIONS.has(id)) problems.push(`transformation ${id} is not supported`);
  }
  for (const calc of [...(panel.options?.reduceOptions?.calcs ?? []), ...(panel.options?.legend?.calcs ?? [])]) {
    if (!fieldReducers.getIfExists(calc)) problems.push(`calculation ${calc} is not supported`);
  }
  for (const { refId, datasource = panel.datasource, format } of panel.targets ?? []) {
    if (datasource?.type !== 'prometheus')
      problems.push(`query ${refId}: data source ${datasource?.type} is not Prometheus`);
    if (format === 'heatmap') problems.push(`query ${refId}: format heatmap is not supported`);
  }
  return problems;
}
