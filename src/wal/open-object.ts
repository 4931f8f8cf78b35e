import type { Repository } from '../repository/repository.ts';
import { walKey } from '../repository/keys.ts';
import { runOnObject } from '../repository/run-on-object.ts';
import type { ParsedWalName } from '../postgres/wal-name.ts';
import type { ArchiveContext } from './archive-context.ts';
import { verifyTask, type VerifyOutput } from './verify-task.ts';

/**
 * Reads a stored WAL file and checks every byte; writes the plain file to `target` if given.
 * @throws STORAGE_OBJECT_MISSING when this repository answered that it has none; CHECKSUM_MISMATCH, FORMAT_INVALID,
 * SERVER_MISMATCH when what it has is not the file; the codes of a store out of reach.
 */
export async function openWalObject(
  context: Pick<ArchiveContext, 'cluster' | 'identity' | 'pool'>,
  repository: Repository,
  file: ParsedWalName,
  target: string | undefined,
  signal?: AbortSignal,
): Promise<VerifyOutput> {
  const { name } = file;
  const { systemIdentifier } = context.identity;
  const object = { driver: repository.driver, key: walKey(context.cluster, file), signal };
  return await runOnObject(context.pool, verifyTask, object, (bytes) => ({ bytes, name, systemIdentifier, target }));
}
