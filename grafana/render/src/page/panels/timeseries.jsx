import React from 'react';
import { FieldType } from '@grafana/data';
import { TimeSeries, useTheme2 } from '@grafana/ui';
import { Annotations } from '../annotations.jsx';
import { NoData } from './no-data.jsx';

export function TimeSeriesPanel({ frames, fieldConfig, options, width, height, timeRange, timeZone, annotations }) {
  const theme = useTheme2();
  const series = frames.filter(isGraphable).map(withoutNaN);
  if (!series.length) return <NoData {...{ width, height, fieldConfig }} />;
  return (
    <TimeSeries
      {...{ width, height, theme, timeRange, timeZone, options }}
      frames={series}
      legend={options.legend}
      structureRev={1}
    >
      {(config) => <Annotations {...{ config, annotations }} />}
    </TimeSeries>
  );
}

function isGraphable({ fields, length }) {
  const has = (wanted) => fields.some(({ type }) => type === wanted);
  return length > 0 && has(FieldType.time) && has(FieldType.number);
}

/** A chart has no place for NaN and infinities: they are gaps. */
function withoutNaN(frame) {
  const fields = frame.fields.map((field) =>
    field.type === FieldType.number
      ? { ...field, values: field.values.map((value) => (Number.isFinite(value) ? value : null)) }
      : field,
  );
  return { ...frame, fields };
}
