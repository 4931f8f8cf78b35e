import { ERRORS, type ErrorCode, WaldenError } from '../errors.ts';
import type { RepositoryVerification, VerifyResult } from './verify-deps.ts';

/**
 * @throws what was found, the worst first: damaged objects, backups that cannot be used, holes, a repository that could not
 * be looked at. With the whole result in `details.result`
 */
export function throwWhatIsWrong(result: VerifyResult): void {
  const { cluster, repositories } = result;
  const error =
    damageError(result) ?? repositories.map((one) => errorOf(one, cluster)).find((one) => one !== undefined);
  if (error === undefined) return;
  const { code, message, hint } = error;
  throw new WaldenError(code, message, { hint, details: { result } });
}

function damageError({ cluster, repositories }: VerifyResult): WaldenError | undefined {
  const bad = repositories.filter(({ damagedObjects }) => damagedObjects > 0);
  const [first] = bad;
  if (first === undefined) return undefined;
  const objects = bad.reduce((sum, { damagedObjects }) => sum + damagedObjects, 0);
  const fact = objects === 1 ? '1 object is' : `${objects} objects are`;
  return new WaldenError(
    'CHECKSUM_MISMATCH',
    `${fact} damaged or missing in cluster ${cluster}; the first, in repository ${first.repository}: ${first.damaged[0]?.message ?? ''}`,
    { hint: `if another repository has good copies: walden repository repair ${first.repository}` },
  );
}

function errorOf(
  { repository, unusable, holes, failure }: RepositoryVerification,
  cluster: string,
): WaldenError | undefined {
  if (failure !== null) {
    const code = Object.hasOwn(ERRORS, failure.code) ? (failure.code as ErrorCode) : 'INTERNAL';
    return new WaldenError(code, `repository ${repository} was not looked at to the end: ${failure.message}`, {
      hint: failure.hint,
    });
  }
  const [first] = unusable;
  if (first !== undefined) {
    return new WaldenError(
      'BACKUP_INVALID',
      `backup ${first.backup} cannot be used from repository ${repository}: ${first.message}`,
      { hint: `see: walden list ${cluster}` },
    );
  }
  const [hole] = holes;
  if (hole === undefined) return undefined;
  return new WaldenError(
    'ARCHIVE_GAP',
    `WAL is missing in repository ${repository}, from ${hole.first} to ${hole.last}: no backup before it reaches a moment after it`,
    { hint: `take a backup: walden backup ${cluster}; see: walden wal gaps ${cluster}` },
  );
}
