import { interpolateQuery } from '../model/interpolate.js';
import { alignRange, findStep, minInterval, timeVariables } from './interval.js';
import { queryRange } from './prometheus.js';

/** The dashboard's annotations by Prometheus queries, over the whole range. */
export async function loadAnnotations(definitions, { range, width, variables, scrapeInterval }) {
  const wanted = definitions.filter(({ enable, builtIn }) => enable && !builtIn);
  const lists = await Promise.all(
    wanted.map(async (definition) => {
      try {
        return await load(definition, { range, width, variables, scrapeInterval });
      } catch (error) {
        throw new Error(`annotation ${definition.name}: ${error.message}`);
      }
    }),
  );
  return lists.flat();
}

async function load(definition, { range, width, variables, scrapeInterval }) {
  const query = definition.target ?? definition;
  const shortest = minInterval({ interval: definition.step ?? query.interval }, {}, scrapeInterval, variables);
  const step = findStep(range, { maxDataPoints: width, minInterval: shortest });
  const scope = new Map([...variables, ...timeVariables(range, step, scrapeInterval)]);
  const { result } = await queryRange(interpolateQuery(definition.expr ?? query.expr, scope), alignRange(range, step));
  const color = definition.iconColor ?? 'red';
  return result.flatMap(({ values }) =>
    toEvents(values, step, definition.useValueForTime).map((event) => ({ ...event, color })),
  );
}

/** Points above zero make events; neighbours make one event that lasts. */
export function toEvents(points, step, useValueForTime = false) {
  const events = [];
  for (const [seconds, text] of points) {
    const value = Number(text);
    if (!(value > 0)) continue;
    const time = useValueForTime ? value : seconds * 1000;
    const last = events.at(-1);
    if (last && time - last.timeEnd <= step) last.timeEnd = time;
    else events.push({ time, timeEnd: time });
  }
  return events;
}
