import type { CheckLine, CheckOutcome, Measure } from '../check/facts.ts';
import { count } from './units.ts';

/** What `walden check --json` prints. */
export interface CheckDocument {
  readonly cluster: string;
  /** The worst of the lines. */
  readonly outcome: CheckOutcome;
  readonly failed: number;
  readonly warnings: number;
  readonly checks: readonly {
    readonly name: string;
    readonly outcome: CheckOutcome;
    readonly message: string;
    readonly fix: string | null;
    readonly measures: readonly { readonly label: string; readonly value: number; readonly unit: string }[];
  }[];
}

export function checkDocument(cluster: string, lines: readonly CheckLine[]): CheckDocument {
  const failed = lines.filter(({ outcome }) => outcome === 'failed').length;
  const warnings = lines.filter(({ outcome }) => outcome === 'warning').length;
  return {
    cluster,
    outcome: failed > 0 ? 'failed' : warnings > 0 ? 'warning' : 'ok',
    failed,
    warnings,
    checks: lines.map(({ name, outcome, message, fix, measures = [] }) => ({
      ...{ name, outcome, message, fix },
      measures: measures.map(({ label, value, unit }) => ({ label, value, unit })),
    })),
  };
}

export function renderCheck(cluster: string, lines: readonly CheckLine[]): string {
  const width = Math.max(...lines.map(({ name }) => name.length));
  return [
    `${cluster}:`,
    ...lines.flatMap(({ name, outcome, message, fix }) => [
      `  ${WORDS[outcome]}  ${name.padEnd(width)}  ${message}`,
      ...(fix === null ? [] : [`${' '.repeat(width + 13)}HINT: ${fix}`]),
    ]),
  ].join('\n');
}

const WORDS: Readonly<Record<CheckOutcome, string>> = { ok: 'ok     ', warning: 'WARNING', failed: 'FAILED ' };

/** Statuses of a plugin (Monitoring Plugins Development Guidelines). */
export const NAGIOS_STATUS = { ok: 0, warning: 1, failed: 2 } as const satisfies Record<CheckOutcome, number>;
export const NAGIOS_UNKNOWN = 3;
const NAGIOS_WORDS = { ok: 'OK', warning: 'WARNING', failed: 'CRITICAL' } as const;

/** One line of a plugin: `WALDEN OK - main: 17 checks | arrival=0.4s backup_age=3600s;691200`. */
export function renderNagios(cluster: string, lines: readonly CheckLine[]): string {
  const { outcome } = checkDocument(cluster, lines);
  const worst = lines.filter((line) => line.outcome !== 'ok').sort((a, b) => rank(b.outcome) - rank(a.outcome));
  const said =
    worst.length === 0
      ? `${count(lines.length, 'check')} ok`
      : worst.map(({ name, message }) => `${name}: ${message}`).join('; ');
  return nagiosLine(
    NAGIOS_WORDS[outcome],
    `${cluster}: ${said}`,
    lines.flatMap(({ measures = [] }) => measures),
  );
}

export function renderNagiosUnknown(fact: string): string {
  return nagiosLine('UNKNOWN', fact, []);
}

function rank(outcome: CheckOutcome): number {
  return NAGIOS_STATUS[outcome];
}

/** The first `|` begins the performance data, and the first line is all that is kept. */
function nagiosLine(word: string, said: string, measures: readonly Measure[]): string {
  const text = said.replaceAll(/\s+/g, ' ').replaceAll('|', '/');
  const first = new Map(measures.toReversed().map((measure) => [measure.label, measure]));
  const data = [...first.values()].toReversed().map(performance).join(' ');
  return `WALDEN ${word} - ${text}${data === '' ? '' : ` | ${data}`}`;
}

function performance({ label, value, unit, warning }: Measure): string {
  return `${label}=${value}${unit}${warning === undefined ? '' : `;${warning}`}`;
}
