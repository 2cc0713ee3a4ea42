// What the tests look at, bundled for Node as it is for the browser: Grafana's packages cannot be imported there as they are.
export { createTheme, getFieldDisplayValues } from '@grafana/data';
export { withDefaults } from '../src/model/defaults.js';
export { configureFields } from '../src/model/field-config.js';
export { interpolateQuery, interpolateText } from '../src/model/interpolate.js';
export { arrange, toPixels } from '../src/model/layout.js';
export { unsupported } from '../src/model/support.js';
export { transform } from '../src/model/transformations.js';
export { resolveVariables } from '../src/model/variables.js';
export { toEvents } from '../src/query/annotations.js';
export { seriesFrames, tableFrame } from '../src/query/frames.js';
export { alignRange, findStep, minInterval, timeVariables } from '../src/query/interval.js';
export { seriesName } from '../src/query/legend.js';
export { formatDuration, parseDuration, parseRange } from '../src/time.js';
