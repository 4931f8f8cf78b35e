import { Cron } from 'croner';
import type { CheckedSection } from './check-sections.ts';
import type { ConfigProblems } from './problems.ts';

/** When a cron expression is due, by croner: time zones and their changes are its work. */
export interface CronTimes {
  /** The first moment later than this; undefined: never again. */
  next(after: Date): Date | undefined;
}

/** @throws RangeError, TypeError for what is no expression or no zone; the loader has told that of what is configured */
export function cronTimes(expression: string, timeZone: string): CronTimes {
  const cron = new Cron(expression, { timezone: timeZone, paused: true });
  return { next: (after) => cron.nextRun(after) ?? undefined };
}

/** Of no interest: only that there is a moment after it. */
const SOME_DAY = new Date('2026-01-01T00:00:00Z');
const FIELDS = /^\S+(\s+\S+){4,5}$/;

/** Whether a schedule's expression and zone mean something. */
export function checkCron(section: CheckedSection<'schedule'>, problems: ConfigProblems): void {
  const refuse = (key: 'cron' | 'time_zone', fact: string): void => {
    problems.add(section.lineOf(key), `schedule.${section.name}.${key}`, fact);
  };
  const { cron, time_zone: timeZone = 'UTC' } = section.values;
  if (!isTimeZone(timeZone)) {
    refuse('time_zone', `${JSON.stringify(timeZone)} is not a time zone like "Europe/Berlin"`);
    return;
  }
  const fact = whyNotCron(cron, timeZone);
  if (fact !== undefined) refuse('cron', `${JSON.stringify(cron)} ${fact}`);
}

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    // A RangeError is how the runtime says no.
    return false;
  }
}

function whyNotCron(expression: string, timeZone: string): string | undefined {
  if (!FIELDS.test(expression) && !expression.startsWith('@')) {
    return 'is no cron expression: five fields, minute to day of the week, or six with a second before them';
  }
  try {
    return cronTimes(expression, timeZone).next(SOME_DAY) === undefined ? 'never comes' : undefined;
  } catch (error) {
    return `is no cron expression: ${error instanceof Error ? error.message : String(error)}`;
  }
}
