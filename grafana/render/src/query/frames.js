import { FieldType, toDataFrame } from '@grafana/data';
import { seriesName } from './legend.js';

/** One frame per series, with its time and its value. */
export function seriesFrames(result, target, step) {
  return normalise(result).map(({ metric, values }) => {
    const { __name__, ...labels } = metric;
    const name = seriesName(metric, target);
    return toDataFrame({
      refId: target.refId,
      name,
      fields: [
        { name: 'Time', type: FieldType.time, config: { interval: step }, values: values.map(([time]) => time * 1000) },
        {
          name: 'Value',
          type: FieldType.number,
          labels,
          config: { displayNameFromDS: name },
          values: values.map(([, value]) => parseValue(value)),
        },
      ],
    });
  });
}

/** One frame for all series, with a column per label and the value in the last. */
export function tableFrame(result, target, valueName) {
  const series = normalise(result);
  if (!series.length) return toDataFrame({ refId: target.refId, fields: [] });
  const labels = [...new Set(series.flatMap(({ metric }) => Object.keys(metric)))].sort();
  const rows = series.flatMap(({ metric, values }) => values.map(([time, value]) => ({ metric, time, value })));
  return toDataFrame({
    refId: target.refId,
    fields: [
      { name: 'Time', type: FieldType.time, config: {}, values: rows.map(({ time }) => time * 1000) },
      ...labels.map((label) => ({
        name: label,
        type: FieldType.string,
        config: { filterable: true },
        values: rows.map(({ metric }) => metric[label] ?? ''),
      })),
      { name: valueName, type: FieldType.number, config: {}, values: rows.map(({ value }) => parseValue(value)) },
    ],
  });
}

function normalise({ resultType, result }) {
  switch (resultType) {
    case 'matrix':
    case 'vector':
      if (result.some(({ histogram, histograms }) => histogram || histograms))
        throw new Error('native histograms are not supported');
      return result.map(({ metric, value, values }) => ({ metric, values: values ?? [value] }));
    case 'scalar':
      return [{ metric: {}, values: [result] }];
    default:
      throw new Error(`a result of type ${resultType} cannot be drawn`);
  }
}

function parseValue(text) {
  if (text === '+Inf') return Infinity;
  return text === '-Inf' ? -Infinity : Number(text);
}
