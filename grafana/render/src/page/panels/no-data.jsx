import React from 'react';
import { useTheme2 } from '@grafana/ui';

export function NoData({ width, height, fieldConfig }) {
  const theme = useTheme2();
  const style = {
    width,
    height,
    display: 'flex',
    alignItems: 'center',
    justifyContent: 'center',
    fontSize: theme.typography.h5.fontSize,
    color: theme.colors.text.secondary,
  };
  return <div style={style}>{fieldConfig.defaults.noValue ?? 'No data'}</div>;
}
