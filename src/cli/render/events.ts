import type { EventDocument } from '../../service/watch-api.ts';
import { formatMoment } from './units.ts';

const MARKS = { info: '', warning: 'WARNING: ', error: 'ERROR: ' } as const;

/** A line for each: when, of what, and what happened. */
export function renderEvents(events: readonly EventDocument[]): string {
  if (events.length === 0) return 'there are no events';
  return events
    .map(({ at, cluster, level, message }) => `${formatMoment(at)}  ${cluster ?? '-'}  ${MARKS[level]}${message}`)
    .join('\n');
}
