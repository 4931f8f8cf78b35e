import type { RepositoryName } from '../../catalog/catalog.ts';
import type { DamagedObject } from '../../catalog/proof.ts';
import { WaldenError } from '../errors.ts';
import { describeMicros } from '../postgres/timestamp.ts';
import { parseWalName, segmentNumberOfName } from '../postgres/wal-name.ts';
import type { RestorePlan } from './plan.ts';

/** What verifications found to be damaged, and what a restore makes of it. Pure. */

const SHOWN = 3;

/** Those of the marks that this plan would have to read. */
export function marksInTheWay(
  { repository, choice, chain }: Pick<RestorePlan, 'repository' | 'choice' | 'chain'>,
  marks: readonly DamagedObject[],
): readonly DamagedObject[] {
  const { segmentBytes } = choice.candidate.view.archive;
  const backups = [choice.candidate.backup.id, ...chain];
  return marks.filter(({ repository: where, part }) => {
    if (where !== repository.name) return false;
    if (part.kind === 'backup') return backups.includes(part.backup);
    const file = parseWalName(part.name);
    if (file.kind === 'history') return choice.candidate.view.path.some(({ timeline }) => timeline === file.timeline);
    if (file.kind !== 'segment') return false;
    const segment = segmentNumberOfName(file.name, segmentBytes);
    return choice.spans.some((span) => span.timeline === file.timeline && span.from <= segment && segment <= span.to);
  });
}

/** `backup 20261122T021500F in repository near was found damaged at 2026-11-23 02:00:00 UTC: …` */
export function markWords(marks: readonly DamagedObject[]): readonly string[] {
  // A backup with a thousand damaged packs is one.
  const byPart = new Map(marks.map((mark) => [`${mark.repository} ${nameOf(mark)}`, mark]));
  const words = [...byPart.values()].map(
    (mark) =>
      `${nameOf(mark)} in repository ${mark.repository} was found damaged at ${describeMicros(mark.foundAt)}: ${mark.error.message}`,
  );
  const more = words.length - SHOWN;
  return more <= 0 ? words : [...words.slice(0, SHOWN), `and ${more} more like these`];
}

function nameOf({ part }: DamagedObject): string {
  return part.kind === 'backup' ? `backup ${part.backup}` : part.name;
}

/** What was passed over in these repositories because of its mark. */
export function passedOver(
  marks: readonly DamagedObject[],
  repositories: readonly RepositoryName[],
): readonly string[] {
  return markWords(marks.filter(({ repository }) => repositories.includes(repository))).map(
    (words) => `not used: ${words}`,
  );
}

/** Only what is marked could serve the target, and nobody asked for that by name. */
export function onlyDamaged(inTheWay: readonly DamagedObject[], backup: string, cause: unknown): WaldenError {
  const repositories = [...new Set(inTheWay.map(({ repository }) => repository))];
  return new WaldenError(
    'BACKUP_INVALID',
    `only what was found damaged could serve it: ${markWords(inTheWay).join('; ')}`,
    {
      hint: `if another repository has good copies: walden repository repair ${repositories[0] ?? ''}; to try it as it is: --backup ${backup}`,
      details: { backup, damaged: inTheWay.map(({ repository, key }) => ({ repository, key })) },
      cause,
    },
  );
}
