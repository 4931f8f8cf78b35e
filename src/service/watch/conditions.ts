import type { ClusterName, EventKind, EventRecord } from '../../../catalog/catalog.ts';
import type { NewEvent } from '../events/event-log.ts';

/** What is not as it should be, for as long as it is so. Pure: from what is seen to what is told. */
export type Condition = NewEvent & {
  readonly kind: OpeningKind;
  readonly subject: string;
  readonly cluster: ClusterName | undefined;
};

/** By the kind of event that tells its beginning: the one of its end; null where nothing ends, since it has happened. */
const ENDS = {
  'wal-gap': 'wal-gap-closed',
  'wal-refused': null,
  'second-writer': 'second-writer-gone',
  'receiver-down': 'receiver-up',
  'receiver-lost-wal': null,
  'repository-away': 'repository-back',
  'repository-behind': 'repository-filled',
} as const satisfies Partial<Record<EventKind, EventKind | null>>;

export type OpeningKind = keyof typeof ENDS;

const END_WORDS: Readonly<Record<NonNullable<(typeof ENDS)[OpeningKind]>, string>> = {
  'wal-gap-closed': 'is over: the WAL is there, or no longer needed',
  'second-writer-gone': 'is over: it offers no WAL of this timeline any more, or may',
  'receiver-up': 'is over: WAL is received',
  'repository-back': 'is over: it answers',
  'repository-filled': 'is over: it holds what the others hold',
};

/** A condition that was told, and has not ended. */
export interface OpenCondition {
  readonly kind: OpeningKind;
  readonly cluster: ClusterName | undefined;
  readonly subject: string;
  readonly message: string;
}
export type OpenConditions = ReadonlyMap<string, OpenCondition>;

export const CONDITION_KINDS: readonly EventKind[] = Object.entries(ENDS).flatMap(([opening, ending]) =>
  ending === null ? [opening as OpeningKind] : [opening as OpeningKind, ending],
);

/** What an earlier service has told and not ended. `events` in the order of their recording. */
export function openConditions(events: readonly EventRecord[]): OpenConditions {
  const open = new Map<string, OpenCondition>();
  for (const { kind, cluster, subject = '', message } of events) {
    if (isOpening(kind)) open.set(keyOf({ kind, cluster, subject }), { kind, cluster, subject, message });
    else for (const opening of openingsOf(kind)) open.delete(keyOf({ kind: opening, cluster, subject }));
  }
  return open;
}

/** What is to be told now. `seen`: all conditions of this look; `unknown`: of which kinds nothing can be said now. */
export function diffConditions(
  open: OpenConditions,
  seen: readonly Condition[],
  unknown: readonly OpeningKind[] = [],
): { readonly events: readonly NewEvent[]; readonly open: OpenConditions } {
  const now = new Map(seen.map((condition) => [keyOf(condition), condition]));
  const next = new Map(open);
  const events: NewEvent[] = [];
  for (const [key, condition] of now) {
    if (open.has(key) || unknown.includes(condition.kind)) continue;
    const { kind, cluster, subject, message } = condition;
    next.set(key, { kind, cluster, subject, message });
    events.push(condition);
  }
  for (const [key, { kind, cluster, subject, message }] of open) {
    const ending = ENDS[kind];
    if (ending === null || now.has(key) || unknown.includes(kind)) continue;
    next.delete(key);
    const where = cluster === undefined ? {} : { cluster };
    events.push({ kind: ending, level: 'info', subject, ...where, message: `${message}: ${END_WORDS[ending]}` });
  }
  return { events, open: next };
}

function isOpening(kind: EventKind): kind is OpeningKind {
  return Object.hasOwn(ENDS, kind);
}

function openingsOf(ending: EventKind): readonly OpeningKind[] {
  return (Object.keys(ENDS) as OpeningKind[]).filter((opening) => ENDS[opening] === ending);
}

export function keyOf({ kind, cluster, subject }: Pick<OpenCondition, 'kind' | 'cluster' | 'subject'>): string {
  return JSON.stringify([kind, cluster, subject]);
}
