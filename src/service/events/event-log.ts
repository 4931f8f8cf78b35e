import type { Catalog, EventRecord } from '../../../catalog/catalog.ts';
import { errorToDocument } from '../../errors.ts';
import type { Clock } from '../../platform/clock.ts';
import { redactPasswords } from '../../platform/logger.ts';
import { microsFromDate } from '../../postgres/timestamp.ts';
import type { ServiceLog } from '../deps.ts';

export type NewEvent = Pick<EventRecord, 'kind' | 'level' | 'message'> &
  Partial<Pick<EventRecord, 'cluster' | 'subject' | 'facts'>>;

export interface EventLogDeps {
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly log: ServiceLog;
}

/** What changed the archive or needs eyes: kept in the catalog, and told to whoever listens. */
export class EventLog {
  readonly #deps: EventLogDeps;
  readonly #listeners: ((event: EventRecord) => void)[] = [];

  constructor(deps: EventLogDeps) {
    this.#deps = deps;
  }

  /** From now on; `listener` must return at once and not fail. */
  listen(listener: (event: EventRecord) => void): void {
    this.#listeners.push(listener);
  }

  /** Never fails: what happened has happened, and goes on whether or not it could be recorded. */
  async record({ cluster, subject, facts = {}, ...event }: NewEvent): Promise<void> {
    const { catalog, clock, log } = this.#deps;
    const whole = {
      ...event,
      message: redactPasswords(event.message),
      facts: redacted(facts) as EventRecord['facts'],
      ...{ cluster, subject, at: microsFromDate(clock.now()) },
    };
    let recorded: EventRecord;
    try {
      recorded = await catalog.recordEvent(whole);
    } catch (error) {
      const message = `unable to record an event (${whole.message})`;
      log.error({ event: whole.kind, error: errorToDocument(error) }, message);
      // Hooks are told all the same: a catalog on a full disk is when they are needed.
      recorded = { ...whole, id: 0 };
    }
    for (const listener of this.#listeners) listener(recorded);
  }
}

function redacted(value: unknown): unknown {
  if (typeof value === 'string') return redactPasswords(value);
  if (Array.isArray(value)) return value.map(redacted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, redacted(member)]));
}
