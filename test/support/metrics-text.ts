/** Prometheus' text format, version 0.0.4, read strictly. */

export interface Metrics {
  /** Of the one sample with these labels. @throws Error when there is none */
  value(name: string, labels: Readonly<Record<string, string>>): number;
}

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const LABEL = '[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\\n]|\\\\["\\\\n])*"';
const SAMPLE = new RegExp(
  `^(${NAME})(?:\\{((?:${LABEL})(?:,${LABEL})*)\\})? (-?(?:\\d+(?:\\.\\d+)?(?:e[+-]?\\d+)?)|[+-]Inf|NaN)$`,
);
const HELP = new RegExp(`^# HELP (${NAME}) (\\S.*)$`);
const TYPE = new RegExp(`^# TYPE (${NAME}) (counter|gauge|histogram|summary|untyped)$`);

/** @throws Error that names the first line which is none of the format, or a sample without a type */
export function metricsIn(text: string): Metrics {
  const samples = new Map<string, number>();
  const types = new Map<string, string>();
  if (!text.endsWith('\n')) throw new Error('the text does not end with a line');
  for (const line of text.split('\n')) {
    if (line === '' || HELP.test(line)) continue;
    const [, typed, type] = TYPE.exec(line) ?? [];
    if (typed !== undefined && type !== undefined) {
      if (types.has(typed)) throw new Error(`two types: ${line}`);
      types.set(typed, type);
      continue;
    }
    const [, name, labels = '', value] = SAMPLE.exec(line) ?? [];
    if (name === undefined) throw new Error(`not of the format: ${line}`);
    if (!types.has(name) && !types.has(name.replace(/_(bucket|sum|count)$/, ''))) throw new Error(`no type: ${line}`);
    const key = keyOf(name, Object.fromEntries(labelsIn(labels)));
    if (samples.has(key)) throw new Error(`twice: ${line}`);
    samples.set(key, Number(value));
  }
  return {
    value(name, labels) {
      const value = samples.get(keyOf(name, labels));
      if (value === undefined) throw new Error(`there is no ${keyOf(name, labels)} in\n${text}`);
      return value;
    },
  };
}

/** The names of all metrics, with or without samples. */
export function namesIn(text: string): readonly string[] {
  return text.split('\n').flatMap((line) => TYPE.exec(line)?.[1] ?? []);
}

function labelsIn(text: string): readonly (readonly [string, string])[] {
  return [...text.matchAll(/([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"/g)].map(([, name = '', value = '']) => [
    name,
    value,
  ]);
}

function keyOf(name: string, labels: Readonly<Record<string, string>>): string {
  return `${name} ${JSON.stringify(Object.entries(labels).sort())}`;
}
