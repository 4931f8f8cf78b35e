import type { Readable } from 'node:stream';
import { createByteChannel } from '../platform/byte-channel.ts';
import type { Repository } from '../repository/repository.ts';
import { walKey } from '../repository/keys.ts';
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
  const stream: Readable = await repository.driver.get(walKey(context.cluster, file), { signal });
  const channel = createByteChannel();
  const work = context.pool.run(
    verifyTask,
    { bytes: channel.receiver, name: file.name, systemIdentifier: context.identity.systemIdentifier, target },
    { transfer: [channel.receiver] },
  );
  // The worker hears of a failing source through the channel and fails with its error.
  const [outcome] = await Promise.allSettled([work, channel.send(stream as AsyncIterable<Uint8Array>)]);
  stream.destroy();
  if (outcome.status === 'rejected') throw outcome.reason;
  return outcome.value;
}
