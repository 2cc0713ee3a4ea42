const ROOT = '/prometheus/api/v1/';

export async function queryRange(query, { start, end, step }) {
  return call('query_range', { query, start: start / 1000, end: end / 1000, step: step / 1000 });
}

export async function queryInstant(query, time) {
  return call('query', { query, time: time / 1000 });
}

/** Answers a variable's query, in the words of Grafana's Prometheus data source. */
export async function lookup(query, { from, to }) {
  const range = { start: from / 1000, end: to / 1000 };
  const labelValues = /^label_values\((?:(.+),)?\s*([\w-]+)\s*\)$/s.exec(query.trim());
  if (labelValues) {
    const [, matcher, label] = labelValues;
    return call(`label/${label}/values`, { ...range, ...(matcher && { 'match[]': matcher.trim() }) }, 'GET');
  }
  const queryResult = /^query_result\((.+)\)$/s.exec(query.trim());
  if (queryResult) {
    const { result } = await queryInstant(queryResult[1], to);
    return result.map(({ metric: { __name__ = '', ...labels }, value: [time, value] }) => {
      const pairs = Object.entries(labels).map(([label, text]) => `${label}="${text}"`);
      return `${__name__}{${pairs.join(',')}} ${value} ${time * 1000}`;
    });
  }
  throw new Error(`the query ${query} is not supported`);
}

async function call(path, parameters, method = 'POST') {
  const body = new URLSearchParams(parameters);
  const response =
    method === 'GET' ? await fetch(`${ROOT}${path}?${body}`) : await fetch(ROOT + path, { method, body });
  const text = await response.text();
  let answer;
  try {
    answer = JSON.parse(text);
  } catch {
    throw new Error(`Prometheus answered ${response.status}: ${text.slice(0, 200)}`);
  }
  if (answer.status !== 'success') throw new Error(answer.error ?? `Prometheus answered ${response.status}`);
  return answer.data;
}
