import React from 'react';
import { getDisplayValueAlignmentFactors, getFieldDisplayValues, VizOrientation } from '@grafana/data';
import { BarGauge, BigValue, useTheme2, VizRepeater } from '@grafana/ui';

export function StatPanel({ frames, fieldConfig, options, width, height, timeRange, timeZone, replaceVariables }) {
  const theme = useTheme2();
  const sparkline = options.graphMode !== 'none';
  const values = findValues({ frames, fieldConfig, options, timeZone, replaceVariables, theme, sparkline });
  const { textMode, colorMode, graphMode, justifyMode, text, percentChangeColorMode, wideLayout } = options;
  return (
    <VizRepeater
      {...{ width, height, orientation: options.orientation, getAlignmentFactors: getDisplayValueAlignmentFactors }}
      getValues={() => values}
      source={frames}
      renderCounter={0}
      autoGrid
      itemSpacing={3}
      renderValue={({ value, alignmentFactors, width, height, count }) => (
        <BigValue
          {...{
            theme,
            width,
            height,
            count,
            alignmentFactors,
            colorMode,
            graphMode,
            justifyMode,
            textMode,
            text,
            percentChangeColorMode,
          }}
          value={value.display}
          sparkline={value.sparkline && { ...value.sparkline, timeRange }}
          disableWideLayout={!wideLayout}
        />
      )}
    />
  );
}

export function BarGaugePanel({ frames, fieldConfig, options, width, height, timeZone, replaceVariables }) {
  const theme = useTheme2();
  const values = withoutLoneTitle(findValues({ frames, fieldConfig, options, timeZone, replaceVariables, theme }));
  const { displayMode, showUnfilled, valueMode, namePlacement, text } = options;
  const auto = options.sizing === 'auto';
  return (
    <VizRepeater
      {...{ width, height, orientation: options.orientation, getAlignmentFactors: getDisplayValueAlignmentFactors }}
      getValues={() => values}
      source={frames}
      renderCounter={0}
      itemSpacing={displayMode === 'lcd' ? 2 : 10}
      minVizWidth={auto ? 0 : options.minVizWidth}
      minVizHeight={auto ? 0 : options.minVizHeight}
      maxVizHeight={auto ? 300 : options.maxVizHeight}
      renderValue={({ value, alignmentFactors, orientation, width, height }) => (
        <BarGauge
          {...{ theme, width, height, displayMode, showUnfilled, namePlacement, text, alignmentFactors }}
          orientation={orientation ?? VizOrientation.Horizontal}
          value={value.display}
          field={value.field}
          display={value.view?.getFieldDisplayProcessor(value.colIndex)}
          itemSpacing={displayMode === 'lcd' ? 2 : 10}
          lcdCellWidth={12}
          valueDisplayMode={valueMode}
        />
      )}
    />
  );
}

/** A single bar needs no name but one that was given to it. */
function withoutLoneTitle(values) {
  const [only, ...others] = values;
  if (others.length || only.field.displayName) return values;
  return [{ ...only, display: { ...only.display, title: undefined } }];
}

function findValues({ frames, fieldConfig, options, timeZone, replaceVariables, theme, sparkline = false }) {
  return getFieldDisplayValues({
    data: frames,
    fieldConfig,
    reduceOptions: options.reduceOptions,
    percentChange: options.showPercentChange,
    replaceVariables,
    sparkline,
    theme,
    timeZone,
  });
}
