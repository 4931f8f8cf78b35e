import type { HoldDocument } from '../../service/retention-api.ts';
import { formatMoment } from './units.ts';

export function renderHold({ backup, repositories, until, reason }: HoldDocument): string {
  const why = reason === null ? '' : `: ${reason}`;
  if (repositories.length === 0) return `backup ${backup} is held nowhere: no repository that has it may be written to`;
  return `backup ${backup} is kept ${keptTime(until)} in ${repositories.join(', ')}${why}`;
}

/** `until 2027-12-31 00:00:00 UTC: audit of 2026`. */
export function keptWords({ until, reason }: Pick<HoldDocument, 'until' | 'reason'>): string {
  return reason === null ? keptTime(until) : `${keptTime(until)}: ${reason}`;
}

function keptTime(until: HoldDocument['until']): string {
  return until === null ? 'until it is released' : `until ${formatMoment(until)}`;
}

export function renderRelease({ backup, repositories }: HoldDocument): string {
  if (repositories.length === 0) return `backup ${backup} was not held`;
  return `backup ${backup} is released in ${repositories.join(', ')}: retention decides about it again`;
}
