// What Grafana takes where a panel's JSON leaves something out.
const THRESHOLDS = {
  mode: 'absolute',
  steps: [
    { value: null, color: 'green' },
    { value: 80, color: 'red' },
  ],
};
const REDUCE = { calcs: ['lastNotNull'], fields: '', values: false };

const DEFAULTS = {
  timeseries: {
    options: { legend: { showLegend: true, displayMode: 'list', placement: 'bottom', calcs: [] } },
    field: {
      color: { mode: 'palette-classic' },
      thresholds: THRESHOLDS,
      custom: {
        drawStyle: 'line',
        lineInterpolation: 'linear',
        lineWidth: 1,
        fillOpacity: 0,
        gradientMode: 'none',
        spanNulls: false,
        insertNulls: false,
        showPoints: 'auto',
        pointSize: 5,
        stacking: { mode: 'none', group: 'A' },
        barAlignment: 0,
        barWidthFactor: 0.6,
        axisPlacement: 'auto',
        axisLabel: '',
        axisColorMode: 'text',
        axisBorderShow: false,
        axisCenteredZero: false,
        scaleDistribution: { type: 'linear' },
        thresholdsStyle: { mode: 'off' },
        hideFrom: { tooltip: false, viz: false, legend: false },
      },
    },
  },
  stat: {
    options: {
      reduceOptions: REDUCE,
      orientation: 'auto',
      textMode: 'auto',
      colorMode: 'value',
      graphMode: 'area',
      justifyMode: 'auto',
      wideLayout: true,
      showPercentChange: false,
      percentChangeColorMode: 'standard',
    },
    field: { color: { mode: 'thresholds' }, thresholds: THRESHOLDS },
  },
  bargauge: {
    options: {
      reduceOptions: REDUCE,
      orientation: 'auto',
      displayMode: 'gradient',
      valueMode: 'color',
      namePlacement: 'auto',
      showUnfilled: true,
      sizing: 'auto',
      minVizWidth: 8,
      minVizHeight: 16,
      maxVizHeight: 300,
    },
    field: { color: { mode: 'thresholds' }, thresholds: THRESHOLDS },
  },
  table: {
    options: { frameIndex: 0, showHeader: true, showTypeIcons: false, cellHeight: 'sm', sortBy: [] },
    field: {
      color: { mode: 'thresholds' },
      thresholds: THRESHOLDS,
      custom: { align: 'auto', cellOptions: { type: 'auto' }, inspect: false },
    },
  },
};

/** The panel's options and field configuration, with Grafana's defaults below them. */
export function withDefaults({ type, options, fieldConfig }) {
  const defaults = DEFAULTS[type];
  return {
    options: merge(defaults.options, options),
    fieldConfig: {
      defaults: openThresholds(merge(defaults.field, fieldConfig?.defaults)),
      overrides: (fieldConfig?.overrides ?? []).map(({ matcher, properties }) => ({
        matcher,
        properties: properties.map(modernise),
      })),
    },
  };
}

function modernise({ id, value }) {
  if (id === 'thresholds') return { id, value: openThresholds({ thresholds: value }).thresholds };
  // Grafana 12.2 renamed this one and still reads the old name.
  return { id: id === 'custom.hidden' ? 'custom.hideFrom.viz' : id, value };
}

function merge(below, above) {
  if (above === undefined) return below;
  if (!isObject(below) || !isObject(above)) return above;
  const keys = new Set([...Object.keys(below), ...Object.keys(above)]);
  return Object.fromEntries([...keys].map((key) => [key, merge(below[key], above[key])]));
}

/** JSON has no infinity: the first step's value is null there. */
function openThresholds(field) {
  const steps = field.thresholds.steps.map((step) => ({ ...step, value: step.value ?? -Infinity }));
  return { ...field, thresholds: { ...field.thresholds, steps } };
}

function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
