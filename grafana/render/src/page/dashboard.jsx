import React from 'react';
import { Icon, useTheme2 } from '@grafana/ui';
import { interpolateText } from '../model/interpolate.js';
import { Panel } from './panel.jsx';
import { Toolbar } from './toolbar.jsx';

export const PADDING = 16;

export function Dashboard({ dashboard, dashboards, range, variables, annotations, items, gridWidth, onError }) {
  const theme = useTheme2();
  const height = Math.max(...items.map(({ pixels }) => pixels.top + pixels.height));
  const page = { background: theme.colors.background.canvas, color: theme.colors.text.primary, padding: PADDING };
  return (
    <div style={page}>
      <Toolbar {...{ dashboard, dashboards, range, variables }} />
      <div style={{ position: 'relative', width: gridWidth, height }}>
        {items.map((item) => (
          <div key={item.panel.id} style={{ position: 'absolute', ...item.pixels }}>
            {item.panel.type === 'row' ? (
              <Row {...item} variables={variables} />
            ) : (
              <Panel
                {...item}
                {...{ variables, annotations }}
                size={{ width: item.pixels.width, height: item.pixels.height }}
                onError={(error) => onError(item.panel, error)}
              />
            )}
          </div>
        ))}
      </div>
    </div>
  );
}

function Row({ panel, collapsed, hiddenPanels, pixels, variables }) {
  const theme = useTheme2();
  const style = {
    display: 'flex',
    alignItems: 'center',
    gap: theme.spacing(1),
    height: pixels.height,
    fontSize: theme.typography.h5.fontSize,
    fontWeight: theme.typography.fontWeightMedium,
    borderBottom: collapsed ? `1px solid ${theme.colors.border.weak}` : undefined,
  };
  const count = { fontSize: theme.typography.bodySmall.fontSize, color: theme.colors.text.secondary, fontWeight: 400 };
  return (
    <div style={style}>
      <Icon name={collapsed ? 'angle-right' : 'angle-down'} />
      {interpolateText(panel.title ?? '', variables)}
      {collapsed && <span style={count}>{`(${hiddenPanels} ${hiddenPanels === 1 ? 'panel' : 'panels'})`}</span>}
    </div>
  );
}
