import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isWaldenError, localIoError } from '../errors.ts';
import type { WalFileRecord } from '../../catalog/catalog.ts';
import type { ObjectBody, Sha256Hex } from '../../storage-drivers/driver.ts';
import { LentBytes } from '../../storage-drivers/lent-bytes.ts';
import { syncFile } from '../platform/files.ts';
import { SharedRooms } from '../platform/shared-rooms.ts';
import { type Micros, microsFromDate } from '../postgres/timestamp.ts';
import { type ParsedWalName, segmentNumberOfName, type WalFileName } from '../postgres/wal-name.ts';
import { walKey } from '../repository/keys.ts';
import { bodyOfFile } from '../repository/object-bytes.ts';
import { placeToStage, type Repository } from '../repository/repository.ts';
import { FRAME_BYTES, OBJECT_ROOM_BYTES } from './archive-target.ts';
import { type ArchiveInput, archiveTask, type ArchiveOutput, hashTask } from './archive-task.ts';
import type { ArchiveContext } from './archive-context.ts';
import type { WalFileSource } from './file-source.ts';
import { assertSameBytes, putWalObject } from './put-wal-object.ts';

/**
 * Makes one WAL file durable in every repository that the cluster requires: validated, staged once, put create-only, recorded.
 * Resolves only then. The same bytes under the same name are success; other bytes change nothing anywhere.
 * @param admit asked about a valid file of which no repository has anything, before it is stored
 * @throws FORMAT_INVALID, SERVER_MISMATCH (refused), ARCHIVE_DUPLICATE, ARCHIVE_FILE_MISSING (no such source),
 * STORAGE_*, LOCAL_IO, and what `admit` throws
 */
export async function storeWalFile(
  context: ArchiveContext,
  file: ParsedWalName,
  source: WalFileSource,
  admit: Admit = () => Promise.resolve(),
): Promise<void> {
  const stored = await Promise.all(context.required.map((repository) => findStored(context, repository, file)));
  const missing = context.required.filter((_, index) => stored[index] === undefined);
  const known = stored.filter((record) => record !== undefined);
  if (known.length > 0) {
    const { sha256 } = await context.pool.run(hashTask, { source });
    for (const record of known) assertSameBytes(record, sha256);
  }
  const asked = known.length > 0 ? undefined : admit;
  if (missing.length > 0) await archiveInto(context, missing, file, { source, admit: asked });
}

/** Whether a file with these bytes may become one of the archive. @throws when it may not */
export type Admit = (sha256: Sha256Hex) => Promise<void>;

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
  { source, admit }: { readonly source: WalFileSource; readonly admit: Admit | undefined },
): Promise<void> {
  await stageWalObject(context, repositories, { name: file.name, source }, async (output, archivedAt, bodyOf) => {
    await admit?.(output.sha256);
    await putInto(context, repositories, recordOf(context, file, { output, archivedAt }), bodyOf);
  });
}

/**
 * Validates a file and makes its object, which is there while `put` runs.
 * @throws as storeWalFile, and what `put` throws
 */
export async function stageWalObject(
  context: Pick<ArchiveContext, 'identity' | 'compressionLevel' | 'clock' | 'pool' | 'stagingDirectory'>,
  repositories: readonly Repository[],
  { name, source }: { readonly name: WalFileName; readonly source: WalFileSource },
  put: (output: ArchiveOutput, archivedAt: Micros, bodyOf: () => ObjectBody) => Promise<void>,
): Promise<void> {
  const { identity, compressionLevel } = context;
  const place = placeToStage(repositories);
  const archivedAt = microsFromDate(context.clock.now());
  const input = { source, name, identity, compressionLevel, archivedAt };
  const putAll: PutAll = (output, bodyOf) => put(output, archivedAt, bodyOf);
  // Segments of more than the usual size would take too much memory.
  if (place === undefined && identity.segmentBytes <= FRAME_BYTES) await throughMemory(context, input, putAll);
  else await throughFile(context, input, place ?? context.stagingDirectory, putAll);
}

/** A few stay, for the next burst. */
const rooms = new SharedRooms(4);

/** Each repository gets a body of its own. */
type PutAll = (output: ArchiveOutput, bodyOf: () => ObjectBody) => Promise<void>;

/** What is sent is then what was compressed and hashed: no disk comes between. */
async function throughMemory(
  { pool }: Pick<ArchiveContext, 'pool'>,
  input: Omit<ArchiveInput, 'into'>,
  putAll: PutAll,
): Promise<void> {
  const room = rooms.take(OBJECT_ROOM_BYTES);
  const output = await pool.run(archiveTask, { ...input, into: room });
  const lent = new LentBytes(new Uint8Array(room, 0, output.storedBytes), output.storedSha256);
  await putAll(output, () => lent.body());
  if (lent.isFree) rooms.give(room);
}

/** Where a store can link it, or it is too large for the memory. */
async function throughFile(
  { pool }: Pick<ArchiveContext, 'pool'>,
  input: Omit<ArchiveInput, 'into'>,
  directory: string,
  putAll: PutAll,
): Promise<void> {
  const staged = join(directory, `${input.name}.${randomUUID()}`);
  const output = await pool.run(archiveTask, { ...input, into: staged });
  try {
    // Opened anew: what went wrong with writing back before is told to the next who opens it (errseq, since Linux 4.16).
    await syncFile(staged).catch((error: unknown) => {
      throw localIoError(error, `unable to stage ${input.name} in ${directory}`);
    });
    const sha256 = async (): Promise<Sha256Hex> => (await pool.run(hashTask, { source: staged })).sha256;
    await putAll(output, () => bodyOfFile(staged, output.storedBytes, sha256));
  } finally {
    await rm(staged, { force: true });
  }
}

/** @throws the first of their errors, when all have ended */
async function putInto(
  context: ArchiveContext,
  repositories: readonly Repository[],
  record: Omit<WalFileRecord, 'repository'>,
  bodyOf: () => ObjectBody,
): Promise<void> {
  const outcomes = await Promise.allSettled(
    repositories.map(async (repository) => {
      const stored = await putWalObject(context, repository, { repository: repository.name, ...record }, bodyOf());
      await context.catalog.recordWalFile(stored);
    }),
  );
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}

function recordOf(
  { cluster, identity }: ArchiveContext,
  file: ParsedWalName,
  { output, archivedAt }: { readonly output: ArchiveOutput; readonly archivedAt: WalFileRecord['archivedAt'] },
): Omit<WalFileRecord, 'repository'> {
  return {
    cluster,
    name: file.name,
    kind: file.kind,
    timeline: file.timeline,
    segment: file.segment === undefined ? undefined : segmentNumberOfName(file.segment, identity.segmentBytes),
    key: walKey(cluster, file),
    plainBytes: output.plainBytes,
    storedBytes: output.storedBytes,
    sha256: output.sha256,
    archivedAt,
    index: output.index,
    history: output.history,
  };
}
