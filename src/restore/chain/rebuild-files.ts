import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Sha256Hex } from '../../../storage-drivers/driver.ts';
import { WaldenError } from '../../errors.ts';
import { fullBackupLabel } from '../../postgres/backup-label.ts';
import type { ManifestDirectory, ManifestEntry, ManifestFile } from '../../repository/manifest.ts';
import { readManifest } from '../../repository/manifest-reader.ts';
import type { Repository } from '../../repository/repository.ts';
import { batchesOf } from '../batches.ts';
import type { DeltaWork } from '../delta/delta-work.ts';
import { type BackupToRead, interrupted, workInFlight, type WriteTools } from '../in-flight.ts';
import { makeDirectories, type RestorePlaces } from '../places.ts';
import { asLocalError, writeDurably } from '../target-directory.ts';
import { restoreBatch, surveyManifest, type WrittenFiles } from '../write-files.ts';
import { ChainIndex } from './chain-index.ts';
import { MANIFEST_PATH, NewManifest } from './new-manifest.ts';
import { rebuildPart } from './rebuild-part.ts';

/** A chain of backups, and where what it makes is put. */
export interface ChainToWrite extends RestorePlaces {
  /** Newest first, each building on the next; the last is a full one. */
  readonly chain: readonly BackupToRead[];
  /** Reads in flight; each occupies a worker. */
  readonly parallel: number;
  /** Undefined: the directories are empty. */
  readonly delta?: DeltaWork | undefined;
}

const INDEX_DIRECTORY = 'walden-restore-index';
const LABEL_PATH = 'backup_label';

/**
 * Writes what a chain of backups makes, as writeFiles does of a full one: the files of the newest backup, and where that
 * one has increments, whole ones. `backup_label` and `backup_manifest` are those of a full backup.
 *
 * Of the older backups only the frames are read that hold something of the result. All manifests are read wholly, and
 * checked, before a byte is written. A delta restore keeps what is right of the files whose hash one of the manifests knows:
 * those that the newest backup holds as a whole, and those that did not change since one did.
 * @throws as writeFiles; BACKUP_INVALID, too, when the backups do not make a chain
 */
export async function rebuildFiles(work: ChainToWrite, tools: WriteTools): Promise<WrittenFiles> {
  const [newest] = work.chain;
  if (newest === undefined) throw new WaldenError('INTERNAL', 'a chain without backups');
  const files = work.chain.reduce((sum, { backup }) => sum + backup.facts.files, 0);
  const indexDirectory = join(work.dataDirectory, INDEX_DIRECTORY);
  // Of a restore that was killed.
  if (work.delta !== undefined) await rm(indexDirectory, { recursive: true, force: true });
  const index = await ChainIndex.create(indexDirectory, files);
  let manifest: NewManifest | undefined;
  try {
    const survey = await surveyChain(work, index, tools.signal);
    await work.delta?.removeOthers((name) => name === INDEX_DIRECTORY);
    await work.delta?.makeRoom(join(work.dataDirectory, MANIFEST_PATH));
    const directories = await makeDirectories(work, survey.directories);
    manifest = await NewManifest.create(work, newest.backup.facts);
    const total = new Total(tools);
    await writeWhole(work, newest, survey, { ...tools, onWritten: total.count }, manifest);
    const ids = work.chain.map(({ backup }) => backup.start.id);
    for await (const part of index.chains(ids)) {
      for await (const made of rebuildPart(work, part, { ...tools, onWritten: total.count })) manifest.add(made);
      if (tools.signal.aborted) throw interrupted(tools.signal);
    }
    await writeLast(work, newest, survey, manifest);
    total.count(0, 2);
    return { directories, ...total.sum };
  } finally {
    await manifest?.abandon();
    await index.remove();
  }
}

class Total {
  readonly sum = { files: 0, bytes: 0 };
  readonly #tools: WriteTools;

  constructor(tools: WriteTools) {
    this.#tools = tools;
  }

  readonly count = (bytes: number, files: number): void => {
    this.sum.bytes += bytes;
    this.sum.files += files;
    this.#tools.onWritten(bytes, files);
  };
}

interface ChainSurvey {
  readonly directories: readonly ManifestDirectory[];
  /** Where the newest manifest was read, and was sound. */
  readonly repository: Repository;
  /** Of the newest backup: both are written anew. */
  readonly label: ManifestFile;
  readonly manifest: ManifestFile;
}

async function surveyChain(work: ChainToWrite, index: ChainIndex, signal: AbortSignal): Promise<ChainSurvey> {
  let survey: ChainSurvey | undefined;
  for (const [level, { backup, sources }] of work.chain.entries()) {
    await sources.firstOf(signal, async (repository) => {
      const writer = index.level(level);
      const delta = level === 0 ? work.delta : undefined;
      delta?.begin();
      const anew = new Map<string, ManifestFile>();
      const note = (entry: ManifestEntry): void => {
        writer.add(entry);
        delta?.note(entry);
        if (entry.type === 'file' && [LABEL_PATH, MANIFEST_PATH].includes(entry.path)) anew.set(entry.path, entry);
      };
      try {
        const directories = await surveyManifest(repository, backup, signal, note);
        const [label, manifest] = [anew.get(LABEL_PATH), anew.get(MANIFEST_PATH)];
        if (label === undefined || manifest === undefined) {
          throw new WaldenError('BACKUP_INVALID', `backup ${backup.start.id} has no ${MANIFEST_PATH}`);
        }
        writer.close();
        survey ??= { directories, repository, label, manifest };
      } catch (error) {
        writer.abandon();
        throw error;
      }
    });
  }
  if (survey === undefined) throw new WaldenError('INTERNAL', 'a chain without backups');
  return survey;
}

/** The files that the newest backup holds as a whole. */
async function writeWhole(
  work: ChainToWrite,
  newest: BackupToRead,
  { repository }: ChainSurvey,
  tools: WriteTools,
  manifest: NewManifest,
): Promise<void> {
  const { delta } = work;
  const entries = (): AsyncIterable<ManifestFile> => wholeFiles(readManifest(repository, newest.backup, tools.signal));
  const left =
    (await delta?.left(entries, (kept) => {
      manifest.add(kept);
    })) ?? entries();
  await workInFlight(batchesOf(left), work.parallel, tools.signal, async (batch, signal) => {
    const { files, bytes } = await restoreBatch(newest, batch, work, { ...tools, signal });
    manifest.add(batch.files);
    tools.onWritten(bytes, files);
  });
}

async function* wholeFiles(entries: AsyncIterable<ManifestEntry>): AsyncGenerator<ManifestFile> {
  for await (const entry of entries) {
    if (entry.type !== 'file' || entry.increment !== undefined) continue;
    if (entry.path !== LABEL_PATH && entry.path !== MANIFEST_PATH) yield entry;
  }
}

/** Recovery refuses a label, and pg_verifybackup a manifest, that speaks of increments. */
async function writeLast(
  work: ChainToWrite,
  { backup }: BackupToRead,
  survey: ChainSurvey,
  manifest: NewManifest,
): Promise<void> {
  const { mode, mtime } = survey.label;
  const label = Buffer.from(fullBackupLabel(backup.backupLabel));
  const path = join(work.dataDirectory, LABEL_PATH);
  await work.delta?.makeRoom(path);
  try {
    await writeDurably(path, label, work.owner, mode & 0o777);
  } catch (error) {
    throw asLocalError(error, `unable to write ${path}`);
  }
  const sha256 = createHash('sha256').update(label).digest('hex') as Sha256Hex;
  await manifest.finish(work, { path: LABEL_PATH, size: label.byteLength, mtime, sha256 }, survey.manifest.mode);
}
