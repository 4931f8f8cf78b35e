import type { HoldDocument } from '../../service/retention-api.ts';
import { keptTime } from './backups.ts';

export function renderHold({ backup, repositories, until, reason }: HoldDocument): string {
  const why = reason === null ? '' : `: ${reason}`;
  if (repositories.length === 0) return `backup ${backup} is held nowhere: no repository that has it may be written to`;
  return `backup ${backup} is kept ${keptTime(until)} in ${repositories.join(', ')}${why}`;
}

export function renderRelease({ backup, repositories }: HoldDocument): string {
  if (repositories.length === 0) return `backup ${backup} was not held`;
  return `backup ${backup} is released in ${repositories.join(', ')}: retention decides about it again`;
}
