const REFERENCE = /\$(\w+)|\$\{(\w+)(?:\.[^:}]+)?(?::([^}]+))?\}|\[\[(\w+)(?::(\w+))?\]\]/g;
export const ALL = '$__all';

/**
 * Puts variables into a PromQL expression. A variable that nobody knows is an error: in a matcher it would only
 * match nothing. `$1` stays, since `label_replace` has it.
 */
export function interpolateQuery(expression, variables) {
  return replace(
    expression,
    variables,
    (variable, format) => render(variable, format ?? 'promql'),
    (name) => {
      throw new Error(`unknown variable $${name}`);
    },
  );
}

/** Puts variables into a title, a description or a link, where an unknown one stays as it is written. */
export function interpolateText(text, variables) {
  return replace(
    text,
    variables,
    (variable, format) => render(variable, format ?? 'text'),
    (_, reference) => reference,
  );
}

/** The values that a variable stands for: its selection, or all of its options. */
export function selected({ value, options = [] }) {
  const values = [value].flat();
  return values.includes(ALL) ? options : values;
}

function replace(text, variables, known, unknown) {
  return text.replace(REFERENCE, (reference, plain, braced, bracedFormat, bracketed, bracketedFormat) => {
    const name = plain ?? braced ?? bracketed;
    if (/^\d+$/.test(name)) return reference;
    const variable = variables.get(name);
    return variable ? known(variable, bracedFormat ?? bracketedFormat) : unknown(name, reference);
  });
}

function render(variable, format) {
  if (format === 'text') return variable.text ?? selected(variable).join(' + ');
  if ([variable.value].flat().includes(ALL) && variable.allValue) return variable.allValue;
  const values = selected(variable);
  switch (format) {
    case 'promql':
      return promql(variable, values);
    case 'regex':
      return alternatives(values.map((value) => value.replace(/[\\^$*+?.()|[\]{}/]/g, '\\$&')));
    case 'pipe':
      return values.join('|');
    case 'csv':
    case 'raw':
      return values.join(',');
    case 'queryparam':
      return values.map((value) => `var-${variable.name}=${encodeURIComponent(value)}`).join('&');
    default:
      throw new Error(`format ${format} of $${variable.name} is not supported`);
  }
}

/**
 * As Grafana's Prometheus data source does: what can hold several values goes into a regular expression, whose
 * backslashes are written twice since they stand in a string of PromQL.
 */
function promql({ multi, includeAll }, values) {
  if (!multi && !includeAll) return values.map((value) => value.replace(/[\\"]/g, '\\$&')).join(',');
  return alternatives(values.map((value) => value.replace(/\\/g, '\\\\\\\\').replace(/[$^*+?.()|[\]{}']/g, '\\\\$&')));
}

function alternatives(values) {
  return values.length === 1 ? values[0] : `(${values.join('|')})`;
}
