import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

let directory;
let subject;

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'render-test-'));
  const outfile = join(directory, 'subject.cjs');
  const entry = fileURLToPath(new URL('subject.js', import.meta.url));
  await build({ entryPoints: [entry], bundle: true, platform: 'node', format: 'cjs', outfile, logLevel: 'error' });
  // Grafana's packages ask the browser for its language.
  globalThis.window = globalThis;
  globalThis.navigator ??= { language: 'en-US', languages: ['en-US'] };
  subject = createRequire(import.meta.url)(outfile);
});

after(() => rm(directory, { recursive: true }));

describe('time', () => {
  test('ranges are relative or absolute, and never empty', () => {
    const now = Date.parse('2026-01-02T00:00:00Z');
    const { from, to } = subject.parseRange({ from: 'now-1h30m', to: 'now' }, now);
    assert.deepEqual([from, to], [now - 5_400_000, now]);
    assert.equal(subject.parseRange({ from: '2026-01-01T00:00:00Z', to: String(now) }, now).from, now - 86_400_000);
    assert.throws(() => subject.parseRange({ from: 'now', to: 'now-1h' }, now), /empty/);
    assert.throws(() => subject.parseRange({ from: 'now/d', to: 'now' }, now), /not a time/);
    assert.throws(() => subject.parseDuration('15'), /not a duration/);
  });

  test('a step is about a pixel, but no shorter than a scrape', () => {
    const hour = { from: 0, to: 3_600_000 };
    const step = (range, minInterval) => subject.findStep(range, { maxDataPoints: 700, minInterval });
    assert.equal(step(hour, 15_000), 15_000);
    assert.equal(step(hour, 1_000), 5_000);
    assert.ok(step({ from: 0, to: 30 * 86_400_000 }, 1_000) >= 3_600_000);
    assert.deepEqual(subject.alignRange({ from: 16_000, to: 44_000 }, 15_000), {
      start: 15_000,
      end: 30_000,
      step: 15_000,
    });
  });

  test('the rate interval holds four scrapes', () => {
    const variables = subject.timeVariables({ from: 0, to: 900_000 }, 15_000, 15_000);
    const texts = ['__interval', '__rate_interval', '__range'].map((name) => variables.get(name).value);
    assert.deepEqual(texts, ['15s', '1m', '900s']);
    assert.equal(subject.minInterval({ interval: '>$__rate_interval' }, {}, 15_000, variables), 60_000);
    assert.equal(subject.minInterval({}, { interval: '2m' }, 15_000, variables), 120_000);
  });
});

describe('variables', () => {
  const variable = (name, value, more) => [name, { name, value, text: String(value), ...more }];
  const scope = new Map([
    variable('job', ['$__all'], {
      multi: true,
      includeAll: true,
      options: ['api', 'gateway'],
      allValue: '.+',
      text: 'All',
    }),
    variable('instance', ['127.0.0.1:80', 'b'], { multi: true }),
    variable('one', ['$__all'], { multi: true, includeAll: true, options: ['a.b'] }),
    variable('quantile', '0.99'),
  ]);

  test('queries get regular expressions where several values are possible', () => {
    const put = (text) => subject.interpolateQuery(text, scope);
    assert.equal(put('up{job=~"$job"}'), 'up{job=~".+"}');
    assert.equal(put('up{instance=~"${instance}"}'), 'up{instance=~"(127\\\\.0\\\\.0\\\\.1:80|b)"}');
    assert.equal(put('up{one=~"[[one]]"}'), 'up{one=~"a\\\\.b"}');
    assert.equal(put('histogram_quantile($quantile, x)'), 'histogram_quantile(0.99, x)');
    assert.equal(
      put('${instance:pipe} ${instance:csv} ${instance:regex}'),
      '127.0.0.1:80|b 127.0.0.1:80,b (127\\.0\\.0\\.1:80|b)',
    );
  });

  test('an unknown variable is an error in a query, and stays in a text', () => {
    assert.throws(() => subject.interpolateQuery('up{job="$jobs"}', scope), /unknown variable \$jobs/);
    assert.equal(
      subject.interpolateQuery('label_replace(x, "a", "$1", "b", "(.*)")', scope),
      'label_replace(x, "a", "$1", "b", "(.*)")',
    );
    assert.equal(
      subject.interpolateText('p$quantile of $job, $5 ${__data.fields}', scope),
      'p0.99 of All, $5 ${__data.fields}',
    );
    assert.throws(() => subject.interpolateQuery('${job:json}', new Map([variable('job', 'a')])), /format json/);
  });

  test('options are looked up in order, filtered, sorted and selected', async () => {
    const asked = [];
    const lookup = async (query) => asked.push(query) && ['b-2', 'b-10', 'a-1'];
    const query = (name, text, more) => ({ name, type: 'query', query: { query: text }, ...more });
    const definitions = [
      { name: 'datasource', type: 'datasource', query: 'prometheus' },
      query('job', 'label_values(up, job)', { multi: true, includeAll: true, allValue: '.*', current: {} }),
      query('number', 'label_values(up{job=~"$job"}, n)', { regex: '/b-(\\d+)/', sort: 3, current: { value: 'gone' } }),
      { name: 'q', type: 'custom', query: '0.5, 0.99', current: { value: '0.99' } },
      { name: 'filter', type: 'adhoc' },
    ];
    const variables = await subject.resolveVariables(definitions, { lookup });
    const choose = (name) => variables.get(name).value;
    assert.deepEqual(asked, ['label_values(up, job)', 'label_values(up{job=~".*"}, n)']);
    assert.deepEqual(variables.get('number').options, ['2', '10']);
    assert.deepEqual(['datasource', 'job', 'number', 'q'].map(choose), ['Prometheus', ['$__all'], '2', '0.99']);
    assert.equal(variables.get('job').text, 'All');
    assert.ok(!variables.has('filter'));
    const chosen = await subject.resolveVariables(definitions, { lookup, choices: { job: 'x,y' } });
    assert.equal(chosen.get('job').text, 'x + y');
  });

  test('a variable of a type that is not supported is named', async () => {
    const definitions = [{ name: 'group', type: 'groupby' }];
    await assert.rejects(subject.resolveVariables(definitions, {}), /variable group: type groupby/);
  });
});

describe('layout', () => {
  const panel = (id, x, y, w, h, more) => ({ id, type: 'stat', gridPos: { x, y, w, h }, ...more });
  const row = (id, y, panels) => panel(id, 0, y, 24, 1, { type: 'row', collapsed: true, panels });
  const panels = [
    panel(1, 0, 0, 12, 4),
    row(2, 4, [panel(3, 0, 5, 12, 6), panel(4, 12, 5, 12, 8)]),
    row(5, 5, [panel(6, 0, 6, 24, 3)]),
  ];
  const places = (items) => items.map(({ panel, x, y }) => [panel.id, x, y]);

  test('collapsed rows hide their panels', () => {
    const items = subject.arrange(panels);
    assert.deepEqual(places(items), [
      [1, 0, 0],
      [2, 0, 4],
      [5, 0, 5],
    ]);
    assert.deepEqual(
      items.map(({ hiddenPanels }) => hiddenPanels),
      [0, 2, 1],
    );
  });

  test('expanded rows push down what follows', () => {
    const items = subject.arrange(panels, { expandRows: true });
    assert.deepEqual(places(items), [
      [1, 0, 0],
      [2, 0, 4],
      [3, 0, 5],
      [4, 12, 5],
      [5, 0, 13],
      [6, 0, 14],
    ]);
    assert.ok(items.every(({ collapsed }) => !collapsed));
  });

  test('gaps close and overlaps open', () => {
    assert.deepEqual(places(subject.arrange([panel(1, 0, 3, 12, 4), panel(2, 6, 5, 12, 4)])), [
      [1, 0, 0],
      [2, 6, 4],
    ]);
  });

  test('grid units become pixels', () => {
    const halves = [0, 12].map((x) => subject.toPixels({ x, y: 2, w: 12, h: 8 }, 1000));
    assert.deepEqual(halves, [
      { left: 0, top: 76, width: 496, height: 296 },
      { left: 504, top: 76, width: 496, height: 296 },
    ]);
  });
});

describe('series', () => {
  const matrix = (...values) => ({
    resultType: 'matrix',
    result: [{ metric: { __name__: 'up', job: 'api' }, values: values.map((value, index) => [index, value]) }],
  });

  test('names follow the legend format', () => {
    const labels = { __name__: 'up', job: 'api' };
    const name = (legendFormat, of = labels) => subject.seriesName(of, { legendFormat, expr: 'sum(up)' });
    assert.equal(name('{{job}} of {{ instance }}!'), 'api of !');
    assert.equal(name(''), 'up{job="api"}');
    assert.equal(name('', {}), 'sum(up)');
    assert.equal(name('__auto'), undefined);
    assert.equal(name('__auto', {}), 'sum(up)');
  });

  test('NaN and infinities are numbers', () => {
    const [frame] = subject.seriesFrames(matrix('1', 'NaN', '+Inf', '-Inf'), { refId: 'A' }, 1000);
    assert.deepEqual(frame.fields[1].values, [1, NaN, Infinity, -Infinity]);
    assert.deepEqual(frame.fields[0].values, [0, 1000, 2000, 3000]);
    assert.equal(frame.refId, 'A');
  });

  test('tables merge and their columns are organized', async () => {
    const vector = (value) => ({ resultType: 'vector', result: [{ metric: { job: 'api' }, value: [1, value] }] });
    const frames = ['1', '2'].map((value, index) =>
      subject.tableFrame(vector(value), { refId: 'AB'[index] }, `Value #${'AB'[index]}`),
    );
    const [table] = await subject.transform(
      frames,
      [
        { id: 'merge', options: {} },
        { id: 'organize', options: { excludeByName: { Time: true }, renameByName: { job: 'Job' } } },
      ],
      (text) => text,
    );
    assert.deepEqual(
      table.fields.map(({ config, name }) => config.displayName ?? name),
      ['Job', 'Value #A', 'Value #B'],
    );
    assert.deepEqual(
      table.fields.map(({ values }) => values[0]),
      ['api', 1, 2],
    );
  });

  test('values are reduced, formatted and coloured as the panel says', () => {
    const fieldConfig = {
      defaults: {
        unit: 's',
        thresholds: {
          mode: 'absolute',
          steps: [
            { value: null, color: 'green' },
            { value: 2, color: 'red' },
          ],
        },
      },
      overrides: [{ matcher: { id: 'byFrameRefID', options: 'B' }, properties: [{ id: 'unit', value: 'bytes' }] }],
    };
    const read = (calcs, ...values) => {
      const theme = subject.createTheme();
      const panel = subject.withDefaults({ type: 'stat', fieldConfig, options: { reduceOptions: { calcs } } });
      const data = ['A', 'B'].flatMap((refId) =>
        subject.seriesFrames(matrix(...values), { refId, legendFormat: refId }, 1000),
      );
      const replaceVariables = (text) => text;
      const frames = subject.configureFields(data, {
        type: 'stat',
        fieldConfig: panel.fieldConfig,
        theme,
        timeZone: 'utc',
        replaceVariables,
      });
      const options = { data: frames, reduceOptions: panel.options.reduceOptions, fieldConfig: panel.fieldConfig };
      const found = subject.getFieldDisplayValues({ ...options, theme, replaceVariables });
      const color = (name) => theme.visualization.getColorByName(name);
      return found.map(({ display: { title, text, suffix, color: shown } }) => [
        title,
        text + (suffix ?? ''),
        ['green', 'red'].find((name) => color(name) === shown),
      ]);
    };
    assert.deepEqual(read(['lastNotNull'], '3', '1', 'NaN'), [
      ['A', '1 s', 'green'],
      ['B', '1 B', 'green'],
    ]);
    assert.deepEqual(read(['max'], '3', '1'), [
      ['A', '3 s', 'red'],
      ['B', '3 B', 'red'],
    ]);
    assert.deepEqual(read(['mean'], '-3', '-1')[0], ['A', '-2 s', 'green']);
  });

  test('points above zero make annotations, neighbours one', () => {
    assert.deepEqual(
      subject.toEvents(
        [
          [0, '0'],
          [1, '1'],
          [2, '3'],
          [4, 'NaN'],
          [9, '1'],
        ],
        1000,
      ),
      [
        { time: 1000, timeEnd: 2000 },
        { time: 9000, timeEnd: 9000 },
      ],
    );
    assert.deepEqual(
      subject.toEvents(
        [
          [8, '5000'],
          [9, '5000'],
        ],
        1000,
        true,
      ),
      [{ time: 5000, timeEnd: 5000 }],
    );
  });
});

test('what cannot be drawn is named', () => {
  const target = { refId: 'A', datasource: { type: 'loki' }, format: 'heatmap' };
  const options = { reduceOptions: { calcs: ['max', 'middle'] } };
  const transformations = [{ id: 'merge' }, { id: 'spatial' }];
  const panel = { type: 'gauge', repeat: 'job', transformations, options, targets: [target] };
  const problems = subject.unsupported(panel).join('\n');
  for (const name of ['gauge', 'repeated', 'spatial', 'middle', 'loki', 'heatmap'])
    assert.match(problems, new RegExp(name));
  assert.doesNotMatch(problems, /merge|max/);
  assert.deepEqual(subject.unsupported({ type: 'row' }), []);
  const unknown = { defaults: { custom: { glow: 1 } }, overrides: [] };
  const { fieldConfig } = subject.withDefaults({ type: 'stat', fieldConfig: unknown });
  assert.throws(() => subject.configureFields([], { type: 'stat', fieldConfig }), /custom\.glow/);
});
