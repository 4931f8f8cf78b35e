import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isWaldenError, localIoError, WaldenError } from '../errors.ts';
import type { WalFileRecord } from '../../catalog/catalog.ts';
import type { Sha256Hex } from '../../storage-drivers/driver.ts';
import { syncFile } from '../platform/files.ts';
import { microsFromDate } from '../postgres/timestamp.ts';
import { type ParsedWalName, segmentNumberOfName } from '../postgres/wal-name.ts';
import { walKey } from '../repository/keys.ts';
import { bodyOfFile } from '../repository/object-bytes.ts';
import type { Repository } from '../repository/repository.ts';
import { readWalObjectHeader } from '../repository/wal-object.ts';
import { archiveTask, type ArchiveOutput, hashTask } from './archive-task.ts';
import type { ArchiveContext } from './archive-context.ts';
import { openWalObject } from './open-object.ts';

/**
 * Makes one WAL file durable in every repository of the cluster: validated, staged once, put create-only, recorded.
 * Resolves only then. The same bytes under the same name are success; other bytes change nothing anywhere.
 * @throws FORMAT_INVALID, SERVER_MISMATCH (refused), ARCHIVE_DUPLICATE, ARCHIVE_FILE_MISSING (no such source),
 * STORAGE_*, LOCAL_IO
 */
export async function storeWalFile(context: ArchiveContext, file: ParsedWalName, source: string): Promise<void> {
  const stored = await Promise.all(context.repositories.map((repository) => findStored(context, repository, file)));
  const missing = context.repositories.filter((_, index) => stored[index] === undefined);
  const known = stored.filter((record) => record !== undefined);
  if (known.length > 0) {
    const { sha256 } = await context.pool.run(hashTask, { source });
    for (const record of known) assertSameBytes(file, record, sha256);
  }
  if (missing.length > 0) await archiveInto(context, missing, file, source);
}

/** What the catalog knows, as long as the repository still has the object: the catalog is only an index. */
async function findStored(
  context: ArchiveContext,
  repository: Repository,
  file: ParsedWalName,
): Promise<WalFileRecord | undefined> {
  const record = await context.catalog.walFile(repository.name, context.cluster, file.name);
  if (record === undefined) return undefined;
  try {
    const { size } = await repository.driver.stat(record.key);
    return size === record.storedBytes ? record : undefined;
  } catch (error) {
    if (isWaldenError(error, 'STORAGE_OBJECT_MISSING')) return undefined;
    throw error;
  }
}

async function archiveInto(
  context: ArchiveContext,
  repositories: readonly Repository[],
  file: ParsedWalName,
  source: string,
): Promise<void> {
  const directory = repositories[0]?.driver.features.stagingDirectory ?? context.stagingDirectory;
  const staged = join(directory, `${file.name}.${randomUUID()}`);
  const { identity, compressionLevel } = context;
  const archivedAt = microsFromDate(context.clock.now());
  const output = await context.pool.run(archiveTask, {
    ...{ source, name: file.name, identity, compressionLevel, archivedAt, staged },
  });
  try {
    // Opened anew: what went wrong with writing back before is told to the next who opens it (errseq, since Linux 4.16).
    await syncFile(staged).catch((error: unknown) => {
      throw localIoError(error, `unable to stage ${file.name} in ${directory}`);
    });
    const outcomes = await Promise.allSettled(
      repositories.map(async (repository) => {
        const record = await putObject(context, repository, file, staged, { output, archivedAt });
        await context.catalog.recordWalFile(record);
      }),
    );
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  } finally {
    await rm(staged, { force: true });
  }
}

async function putObject(
  context: ArchiveContext,
  repository: Repository,
  file: ParsedWalName,
  staged: string,
  made: { readonly output: ArchiveOutput; readonly archivedAt: WalFileRecord['archivedAt'] },
): Promise<WalFileRecord> {
  const { output, archivedAt } = made;
  const key = walKey(context.cluster, file);
  const record: WalFileRecord = {
    repository: repository.name,
    cluster: context.cluster,
    name: file.name,
    kind: file.kind,
    timeline: file.timeline,
    segment: file.segment === undefined ? undefined : segmentNumberOfName(file.segment, context.identity.segmentBytes),
    key,
    plainBytes: output.plainBytes,
    storedBytes: output.storedBytes,
    sha256: output.sha256,
    archivedAt,
    index: output.index,
    history: output.history,
  };
  try {
    const sha256 = async (): Promise<Sha256Hex> => (await context.pool.run(hashTask, { source: staged })).sha256;
    await repository.driver.put(key, bodyOfFile(staged, output.storedBytes, sha256), { ifExists: 'fail' });
    return record;
  } catch (error) {
    if (!isWaldenError(error, 'STORAGE_OBJECT_EXISTS')) throw error;
    return await settleExisting(context, repository, file, record);
  }
}

/**
 * The catalog did not know the object, but it is there: from a push whose answer was lost, a crash before the row was
 * written, or another service. What is in it is read and compared; its own head says what the row must say.
 */
async function settleExisting(
  context: ArchiveContext,
  repository: Repository,
  file: ParsedWalName,
  wanted: WalFileRecord,
): Promise<WalFileRecord> {
  const { sha256 } = await openWalObject(context, repository, file, undefined);
  const header = await readWalObjectHeader(repository.driver, wanted.key);
  const { size } = await repository.driver.stat(wanted.key);
  const existing = { ...wanted, sha256, storedBytes: size, archivedAt: header.archivedAt, index: header.index };
  assertSameBytes(file, existing, wanted.sha256);
  return existing;
}

function assertSameBytes(file: ParsedWalName, stored: WalFileRecord, sha256: Sha256Hex): void {
  if (stored.sha256 === sha256) return;
  throw new WaldenError(
    'ARCHIVE_DUPLICATE',
    `${file.name} is in repository ${stored.repository} with other bytes; nothing was overwritten`,
    { details: { key: stored.key, stored: stored.sha256, offered: sha256 } },
  );
}
