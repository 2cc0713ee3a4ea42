import React from 'react';
import { dateTime } from '@grafana/data';
import { Icon, PanelChrome, useTheme2 } from '@grafana/ui';
import { withDefaults } from '../model/defaults.js';
import { configureFields } from '../model/field-config.js';
import { interpolateText } from '../model/interpolate.js';
import { TablePanel } from './panels/table.jsx';
import { TimeSeriesPanel } from './panels/timeseries.jsx';
import { BarGaugePanel, StatPanel } from './panels/values.jsx';

const TYPES = { timeseries: TimeSeriesPanel, stat: StatPanel, bargauge: BarGaugePanel, table: TablePanel };
const TIME_ZONE = 'browser';

/** A panel with its frame; an error is shown in its place and told to `onError`. */
export function Panel({ panel, data, error, size, variables, annotations, onError }) {
  const title = interpolateText(panel.title ?? '', variables);
  return (
    <PanelChrome
      {...size}
      title={title}
      description={panel.description && interpolateText(panel.description, variables)}
      displayMode={panel.transparent ? 'transparent' : 'default'}
      padding={panel.type === 'table' ? 'none' : 'md'}
      titleItems={<TitleItems links={panel.links} timeInfo={data?.timeInfo} />}
      statusMessage={error}
    >
      {(width, height) =>
        error ?? (
          <ErrorBoundary onError={onError}>
            <Visualization {...{ panel, data, width, height, variables, annotations }} />
          </ErrorBoundary>
        )
      }
    </PanelChrome>
  );
}

function Visualization({ panel, data, width, height, variables, annotations }) {
  const theme = useTheme2();
  const { options, fieldConfig } = withDefaults(panel);
  const replaceVariables = (text, scopedVars = {}) => {
    return interpolateText(text, new Map([...variables, ...Object.entries(scopedVars)]));
  };
  const { type, transparent = false } = panel;
  const frames = configureFields(data.frames, { type, fieldConfig, theme, timeZone: TIME_ZONE, replaceVariables });
  const Type = TYPES[type];
  const [from, to] = [dateTime(data.range.from), dateTime(data.range.to)];
  const timeRange = { from, to, raw: { from, to } };
  const common = { fieldConfig, options, timeRange, timeZone: TIME_ZONE, replaceVariables, annotations, transparent };
  return <Type {...{ frames, width, height, ...common }} />;
}

function TitleItems({ links = [], timeInfo }) {
  const theme = useTheme2();
  const style = { display: 'flex', alignItems: 'center', gap: theme.spacing(0.5), color: theme.colors.text.secondary };
  if (!links.length && !timeInfo) return null;
  return (
    <span style={{ ...style, padding: theme.spacing(0, 1) }}>
      {links.length > 0 && <Icon name="external-link-alt" size="md" />}
      {timeInfo && (
        <span style={{ ...style, fontSize: theme.typography.bodySmall.fontSize }}>
          <Icon name="clock-nine" size="sm" /> {timeInfo}
        </span>
      )}
    </span>
  );
}

class ErrorBoundary extends React.Component {
  state = { error: undefined };

  static getDerivedStateFromError(error) {
    return { error };
  }

  componentDidCatch(error) {
    this.props.onError(error);
  }

  render() {
    return this.state.error ? this.state.error.message : this.props.children;
  }
}
