import {
  applyFieldOverrides,
  cacheFieldDisplayNames,
  displayNameOverrideProcessor,
  FieldConfigOptionsRegistry,
  fieldMatchers,
  identityOverrideProcessor,
  numberOverrideProcessor,
  stringOverrideProcessor,
} from '@grafana/data';

const STANDARD = {
  unit: identityOverrideProcessor,
  min: numberOverrideProcessor,
  max: numberOverrideProcessor,
  decimals: numberOverrideProcessor,
  fieldMinMax: identityOverrideProcessor,
  displayName: displayNameOverrideProcessor,
  color: identityOverrideProcessor,
  noValue: stringOverrideProcessor,
  links: identityOverrideProcessor,
  mappings: identityOverrideProcessor,
  thresholds: identityOverrideProcessor,
  description: stringOverrideProcessor,
  filterable: identityOverrideProcessor,
};

const CUSTOM = {
  timeseries: [
    'drawStyle',
    'lineInterpolation',
    'lineWidth',
    'lineStyle',
    'lineColor',
    'fillOpacity',
    'fillBelowTo',
    'fillColor',
    'gradientMode',
    'spanNulls',
    'insertNulls',
    'showPoints',
    'showValues',
    'pointSize',
    'pointColor',
    'stacking',
    'barAlignment',
    'barWidthFactor',
    'barMaxWidth',
    'axisPlacement',
    'axisLabel',
    'axisWidth',
    'axisSoftMin',
    'axisSoftMax',
    'axisCenteredZero',
    'axisGridShow',
    'axisBorderShow',
    'axisColorMode',
    'scaleDistribution',
    'thresholdsStyle',
    'transform',
    'hideFrom',
  ],
  table: [
    'align',
    'cellOptions',
    'inspect',
    'filterable',
    'minWidth',
    'width',
    'footer',
    'hideHeader',
    'sortable',
    'styleField',
    'tooltip',
    'wrapHeaderText',
    'wrapText',
    'hideFrom',
    'hideFrom.viz',
  ],
  stat: [],
  bargauge: [],
};

/** The frames with the panel's field configuration: what a value looks like, and how it is drawn. */
export function configureFields(frames, { type, fieldConfig, theme, timeZone, replaceVariables }) {
  const registry = createRegistry(type);
  reportUnknown(fieldConfig, registry);
  const options = { fieldConfig, fieldConfigRegistry: registry, replaceVariables, theme, timeZone };
  const configured = applyFieldOverrides({ data: frames, ...options });
  cacheFieldDisplayNames(configured);
  return configured;
}

function createRegistry(type) {
  const property = (path, isCustom, process) => ({
    id: isCustom ? `custom.${path}` : path,
    path,
    name: path,
    isCustom,
    process,
    settings: { expandTemplateVars: true },
    shouldApply: () => true,
  });
  return new FieldConfigOptionsRegistry(() => [
    ...Object.entries(STANDARD).map(([path, process]) => property(path, false, process)),
    ...CUSTOM[type].map((path) => property(path, true, identityOverrideProcessor)),
  ]);
}

/** `applyFieldOverrides` passes over what it does not know; here it is an error. */
function reportUnknown({ defaults, overrides }, registry) {
  const { custom = {}, ...standard } = defaults;
  const ids = [
    ...Object.keys(standard),
    ...Object.keys(custom).map((path) => `custom.${path}`),
    ...overrides.flatMap(({ properties }) => properties.map(({ id }) => id)),
  ];
  const unknown = ids.filter((id) => !registry.getIfExists(id));
  if (unknown.length) throw new Error(`field option ${unknown.join(', ')} is not supported`);
  const matcher = overrides.map(({ matcher }) => matcher.id).find((id) => !fieldMatchers.getIfExists(id));
  if (matcher) throw new Error(`override matcher ${matcher} is not supported`);
}
