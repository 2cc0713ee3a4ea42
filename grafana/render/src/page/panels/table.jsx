import React from 'react';
import { getFieldDisplayName } from '@grafana/data';
import { TableNG } from '@grafana/ui/unstable';
import { NoData } from './no-data.jsx';

export function TablePanel({ frames, fieldConfig, options, width, height, timeRange, transparent }) {
  const frame = frames[options.frameIndex] ?? frames[0];
  if (!frame?.fields.length) return <NoData {...{ width, height, fieldConfig }} />;
  if (frames.length > 1) throw new Error(`a table shows one frame and there are ${frames.length}: merge them`);
  return (
    <TableNG
      {...{ width, height, timeRange, fieldConfig, transparent }}
      data={frame}
      noHeader={!options.showHeader}
      showTypeIcons={options.showTypeIcons}
      sortBy={options.sortBy.filter(({ displayName }) => hasColumn(frame, displayName))}
      cellHeight={options.cellHeight}
      enablePagination={options.enablePagination}
      frozenColumns={options.frozenColumns?.left}
      maxRowHeight={options.maxRowHeight}
      noValue={fieldConfig.defaults.noValue}
      structureRev={1}
      resizable
    />
  );
}

function hasColumn(frame, name) {
  return frame.fields.some((field) => getFieldDisplayName(field, frame) === name);
}
