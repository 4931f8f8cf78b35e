import { WaldenError } from '../errors.ts';
import { type Lsn, parseLsn, type TimelineId, timelineId } from './lsn.ts';

/** What a `.history` file says: where each earlier timeline of this one was left. */
export interface TimelineHistory {
  readonly timeline: TimelineId;
  /** Oldest first. */
  readonly ancestors: readonly { readonly timeline: TimelineId; readonly switchLsn: Lsn }[];
}

/**
 * Parses as readTimeLineHistory (timeline.c) does: a line is a timeline, its switch point and a reason, separated by
 * white space; blank lines and those that begin with `#` are passed over; timelines ascend.
 * @throws FORMAT_INVALID
 */
export function parseTimelineHistory(text: string, timeline: TimelineId): TimelineHistory {
  const ancestors: { timeline: TimelineId; switchLsn: Lsn }[] = [];
  for (const line of text.split('\n')) {
    if (/^\s*(#|$)/.test(line)) continue;
    const [, number, position] = /^\s*(\d{1,10})\s+([0-9A-Fa-f]{1,8}\/[0-9A-Fa-f]{1,8})(?:\s|$)/.exec(line) ?? [];
    if (number === undefined || position === undefined) throw invalid(timeline, `the line ${JSON.stringify(line)}`);
    const ancestor = { timeline: timelineId(Number(number)), switchLsn: parseLsn(position) };
    const before = ancestors.at(-1);
    if (before !== undefined && (before.timeline >= ancestor.timeline || before.switchLsn > ancestor.switchLsn)) {
      throw invalid(timeline, `timeline ${ancestor.timeline} after timeline ${before.timeline}`);
    }
    if (ancestor.timeline >= timeline) throw invalid(timeline, `timeline ${ancestor.timeline} as an ancestor`);
    ancestors.push(ancestor);
  }
  if (ancestors.length === 0 && timeline !== 1) throw invalid(timeline, 'no ancestor');
  return { timeline, ancestors };
}

function invalid(timeline: TimelineId, what: string): WaldenError {
  return new WaldenError('FORMAT_INVALID', `the history file of timeline ${timeline} has ${what}`);
}
