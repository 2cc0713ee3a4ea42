import { ALL, interpolateQuery, selected } from './interpolate.js';

const SORTS = [
  null,
  (a, b) => a.localeCompare(b),
  (a, b) => b.localeCompare(a),
  (a, b) => number(a) - number(b),
  (a, b) => number(b) - number(a),
  (a, b) => a.toLowerCase().localeCompare(b.toLowerCase()),
  (a, b) => b.toLowerCase().localeCompare(a.toLowerCase()),
  (a, b) => a.localeCompare(b, undefined, { numeric: true }),
  (a, b) => b.localeCompare(a, undefined, { numeric: true }),
];

/**
 * The dashboard's variables with their options and what is selected, by name, in the order in which they are shown.
 * `lookup` answers a data source's variable query; `choices` come from the command line.
 */
export async function resolveVariables(definitions, { lookup, choices = {}, builtIn = new Map() }) {
  const variables = new Map(builtIn);
  for (const definition of definitions) {
    const { name } = definition;
    if (definition.type === 'adhoc') continue;
    try {
      const options = await findOptions(definition, variables, lookup);
      variables.set(name, select(definition, options, choices[name]));
    } catch (error) {
      throw new Error(`variable ${name}: ${error.message}`);
    }
  }
  return variables;
}

async function findOptions(definition, variables, lookup) {
  switch (definition.type) {
    case 'datasource':
      if (definition.query !== 'prometheus') throw new Error(`data source of type ${definition.query}`);
      return ['Prometheus'];
    case 'query': {
      const query = typeof definition.query === 'string' ? definition.query : definition.query.query;
      const options = filter(await lookup(interpolateQuery(query, variables)), definition.regex);
      const compare = SORTS[definition.sort ?? 0];
      return compare ? options.sort(compare) : options;
    }
    case 'custom':
    case 'interval':
      return definition.query
        .split(',')
        .map((option) => option.trim().replace(/^.+ : /, ''))
        .filter(Boolean);
    case 'constant':
    case 'textbox':
      return [definition.query ?? ''];
    default:
      throw new Error(`type ${definition.type} is not supported`);
  }
}

function filter(options, regex) {
  if (!regex) return options;
  const [, source, flags] = /^\/(.*)\/([a-z]*)$/s.exec(regex) ?? [null, regex, ''];
  const matches = options.map((option) => new RegExp(source, flags.replace('g', '')).exec(option));
  return [...new Set(matches.filter(Boolean).map((match) => match[1] ?? match[0]))];
}

function select(definition, options, choice) {
  const { name, type, label, hide, multi = false, includeAll = false, allValue } = definition;
  const variable = { name, type, label: label || name, hide, multi, includeAll, allValue, options };
  const all = includeAll ? ALL : undefined;
  const saved = choice?.split(',') ?? [definition.current?.value ?? []].flat();
  const valid = choice ? saved : saved.filter((value) => value === all || options.includes(value));
  const values = valid.length ? valid : [all ?? options[0] ?? ''];
  variable.value = multi ? values : values[0];
  variable.text = values.includes(ALL) ? 'All' : selected(variable).join(' + ');
  return variable;
}

function number(text) {
  return parseFloat(/-?\d+(\.\d+)?/.exec(text)?.[0] ?? 'Infinity');
}
