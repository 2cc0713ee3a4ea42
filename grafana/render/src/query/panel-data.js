import { FieldType } from '@grafana/data';
import { interpolateQuery, interpolateText } from '../model/interpolate.js';
import { transform } from '../model/transformations.js';
import { parseDuration } from '../time.js';
import { seriesFrames, tableFrame } from './frames.js';
import { alignRange, findStep, minInterval, timeVariables } from './interval.js';
import { queryInstant, queryRange } from './prometheus.js';

/**
 * Runs a panel's queries and transformations. `emptyQueries` are those that returned no series; `hasValues` says
 * whether there is any number among what is to be drawn.
 */
export async function loadPanelData(panel, { range, width, variables, scrapeInterval }) {
  const panelRange = panel.timeFrom ? { ...range, from: range.to - parseDuration(panel.timeFrom) } : range;
  const context = { panel, range: panelRange, width, variables, scrapeInterval };
  const targets = (panel.targets ?? []).filter(({ hide }) => !hide);
  const answers = await Promise.all(targets.map((target) => runTarget(target, context)));
  const tables = targets.filter(({ format }) => format === 'table').length;
  const framesOf = answers.map(({ target, results }) =>
    results.flatMap(({ data, step }) =>
      target.format === 'table'
        ? tableFrame(data, target, tables > 1 ? `Value #${target.refId}` : 'Value')
        : seriesFrames(data, target, step),
    ),
  );
  const isEmpty = (frames) => frames.every(({ length }) => length === 0);
  const frames = framesOf.flat().filter(({ length }) => length > 0);
  const transformed = await transform(frames, panel.transformations ?? [], (text) => interpolateText(text, variables));
  return {
    range: panelRange,
    frames: transformed,
    emptyQueries: answers.filter((_, index) => isEmpty(framesOf[index])).map(({ target }) => target.refId),
    hasValues: hasValues(transformed.flatMap(({ fields }) => fields)),
    timeInfo: panel.timeFrom && !panel.hideTimeOverride ? `Last ${panel.timeFrom}` : undefined,
  };
}

async function runTarget(target, { panel, range, width, variables, scrapeInterval }) {
  try {
    const shortest = minInterval(target, panel, scrapeInterval, variables);
    const maxDataPoints = panel.maxDataPoints || width;
    const step = findStep(range, { maxDataPoints, minInterval: shortest }) * (target.intervalFactor || 1);
    const times = timeVariables(range, step, scrapeInterval);
    const query = interpolateQuery(target.expr, new Map([...variables, ...times]));
    const named = { ...target, expr: query, legendFormat: legend(target, new Map([...variables, ...times])) };
    const results = [];
    if (target.instant) results.push({ data: await queryInstant(query, range.to) });
    if (target.range || !target.instant) results.push({ step, data: await queryRange(query, alignRange(range, step)) });
    return { target: named, results };
  } catch (error) {
    throw new Error(`query ${target.refId}: ${error.message}`);
  }
}

function legend({ legendFormat }, variables) {
  return legendFormat && interpolateText(legendFormat, variables);
}

function hasValues(fields) {
  const numbers = fields.filter(({ type }) => type === FieldType.number);
  return numbers.length === 0 || numbers.some(({ values }) => values.some(Number.isFinite));
}
