import type { VerificationSummary, VerificationListDocument, VerifiedDocument } from '../../service/api-proof.ts';
import type { RepositoryVerification, VerifyResult } from '../../verify/verify-deps.ts';
import { renderTable } from './table.ts';
import { count, formatAge, formatBytes, formatMoment } from './units.ts';

/** @param result of the job */
export function renderVerification(result: unknown): string {
  const { cluster, repositories } = result as VerifyResult;
  return [`cluster ${cluster}`, ...repositories.flatMap(repositoryLines)].join('\n');
}

function repositoryLines(one: RepositoryVerification): readonly string[] {
  const { damagedObjects, unusable, holes, failure } = one;
  const more = damagedObjects - one.damaged.length;
  return [
    `  repository ${one.repository}: read ${count(one.objects, 'object')}, ${formatBytes(one.bytes)}`,
    ...one.rightAgain.map((key) => `    right again: ${key}`),
    ...one.damaged.flatMap(({ key, message }) => [`    DAMAGED: ${key}`, `      ${message}`]),
    ...(more > 0 ? [`    and ${more} more`] : []),
    ...(failure === null ? [] : [`    NOT LOOKED AT to the end: ${failure.message} (${failure.code})`]),
    ...holes.map(({ first, last }) => `    HOLE: ${first === last ? first : `${first} to ${last}`} missing`),
    ...unusable.flatMap(({ backup, message }) => [
      `    CANNOT BE RESTORED from here: backup ${backup}`,
      `      ${message}`,
    ]),
    `    ${count(one.backups, 'backup')} can be restored from here${one.backups > 0 && holes.length === 0 ? ', with all WAL behind them' : ''}`,
  ];
}

/** One or two lines for the status of a repository. */
export function verificationLines(verification: VerificationSummary, cluster: string, now: Date): readonly string[] {
  const { damaged, damagedObjects } = verification;
  const shown = damaged.slice(0, 3);
  return [
    `  Verified: ${ageWords(verification, now)}`,
    ...(damagedObjects === 0 ? [] : [`  DAMAGED: ${count(damagedObjects, 'object')}, not used by a restore`]),
    ...shown.flatMap(({ key, error, foundAt }) => [
      `    ${key}, found ${formatAge(foundAt, now)}`,
      `      ${error.message} (${error.code})`,
    ]),
    ...(damagedObjects > shown.length ? [`    and ${damagedObjects - shown.length} more`] : []),
    ...(damagedObjects === 0
      ? []
      : [`    HINT: walden repository repair takes good copies of another one; then: walden verify ${cluster}`]),
  ];
}

function ageWords({ oldestAt, neverSegments, neverBackups }: VerificationSummary, now: Date): string {
  const never = [
    ...(neverBackups === 0 ? [] : [count(neverBackups, 'backup')]),
    ...(neverSegments === 0 ? [] : [count(neverSegments, 'segment')]),
  ].join(' and ');
  if (oldestAt === null) return never === '' ? 'there is nothing yet' : `never: ${never}`;
  const known = `all that was, not longer than ${formatAge(oldestAt, now)}`;
  return never === '' ? `everything, not longer than ${formatAge(oldestAt, now)}` : `${known}; never: ${never}`;
}

export function renderVerified({ cluster, verified }: VerificationListDocument, now: Date, columns: number): string {
  if (verified.length === 0) return `cluster ${cluster} has nothing that could be verified`;
  return renderTable<VerifiedDocument>(
    [
      { heading: 'REPOSITORY', cell: ({ repository }) => repository },
      { heading: 'WHAT', cell: ({ backup, first }) => backup ?? first ?? '' },
      { heading: 'TO', cell: ({ first, last }) => (last === null || last === first ? '' : last) },
      {
        heading: 'OBJECTS',
        right: true,
        cell: ({ objects }) => (objects === 0 ? '' : objects.toLocaleString('en-US')),
      },
      {
        heading: 'VERIFIED',
        cell: ({ verifiedAt }) =>
          verifiedAt === null ? 'never' : `${formatMoment(verifiedAt)} (${formatAge(verifiedAt, now)})`,
      },
    ],
    verified,
    columns,
  );
}
