import { join } from 'node:path';
import type { Lsn } from '../postgres/lsn.ts';
import type { Session } from '../postgres/session.ts';
import { BackupManifestFile } from '../repository/backup-manifest-file.ts';
import { startBackupMode, type StoppedBackup, stopBackupMode } from './backup-mode.ts';
import type { CopiedCluster, CopyContext } from './backup-source.ts';
import { corruptPages } from './corrupt-pages.ts';
import { EntryRecord } from './entry-record.ts';
import { stageControlFile, stageText } from './last-files.ts';
import { type BadPage, MAX_BAD_PAGES, type PackFilesOutput, type PackMember, STOP } from './pack-input.ts';
import { throwFirstFailure } from './pack-shelf.ts';
import { PackWriter } from './pack-writer.ts';
import { directoryMembers, planTasks, tablespacesOf } from './plan-tasks.ts';
import type { ServerFacts } from './preflight.ts';
import { StagedFile } from '../repository/staged-file.ts';
import { type Survey, surveyTask } from './survey-input.ts';

/** How often the progress is told, and how many of these go by before the session is tried. */
const TICK_MS = 500;
const TICKS_PER_PING = 40;

/** A local server whose files are read. */
export interface LocalServer {
  readonly session: Session;
  readonly server: ServerFacts;
  readonly dataDirectory: string;
}

interface FilesContext extends CopyContext, LocalServer {
  readonly entries: EntryRecord;
  /** PostgreSQL's `backup_manifest`, staged. */
  readonly manifest: BackupManifestFile;
}

/** From pg_backup_start to the last stored pack; backup mode ends with the caller's session. @throws as OpenedSource.copy */
export async function copyFiles(given: CopyContext, local: LocalServer): Promise<CopiedCluster> {
  const { directory, id, request } = given;
  const entries = await EntryRecord.create(directory, id);
  const staged = await StagedFile.create(join(directory, 'backup_manifest'));
  const manifest = new BackupManifestFile(staged, request.identity);
  try {
    return await copyRecorded({ ...given, ...local, entries, manifest });
  } catch (error) {
    await entries.abandon();
    throw error;
  } finally {
    await manifest.abandon();
  }
}

async function copyRecorded(context: FilesContext): Promise<CopiedCluster> {
  const { server, request, progress, signal, deps } = context;
  const badPages: BadPage[] = [];
  const packs = new PackWriter({
    ...{ cluster: request.cluster.name, id: context.id, repositories: deps.repositories, pool: deps.pool },
    ...{ compressionLevel: request.compressionLevel, directory: context.directory, packBytes: request.packBytes },
    ...{ control: context.control, signal },
    onPacked: (output) => {
      record(context, output, badPages);
    },
  });
  try {
    progress.enter('waiting for a checkpoint');
    const startLsn = await startUnlessAborted(context);
    const pages = server.dataChecksums ? { startLsn, segmentBlocks: server.segmentBlocks } : undefined;
    progress.enter('listing the files');
    const survey = await whileTicking(context, async () => {
      const survey = await surveyOf(context);
      progress.beginCopy(survey.totalBytes);
      await packs.pack([directoryMembers(survey)], 1, undefined);
      await packs.pack(planTasks(survey, placeOf(context)), request.workers, pages);
      return survey;
    });
    const { stopped, last } = await stopAndStage(context);
    progress.enter('storing the last packs');
    const stored = await packs.finish(last);
    return {
      stopped,
      packs: stored,
      entries: context.entries,
      corrupt: corruptPages(badPages, stopped.stopLsn),
      checksumsVerified: server.dataChecksums,
      tablespaces: tablespacesOf(survey),
    };
  } catch (error) {
    Atomics.store(context.control, STOP, 1n);
    // A pack that could not be stored stops the lanes: then it is the one to tell.
    throwFirstFailure([{ status: 'rejected', reason: error }, ...(await Promise.allSettled([packs.settle()]))]);
    throw error;
  }
}

/** The checkpoint of the start may take minutes, and only the end of the session ends the wait for it. */
async function startUnlessAborted({ session, server, request, signal }: FilesContext): Promise<Lsn> {
  const close = (): void => void session.close();
  signal.throwIfAborted();
  signal.addEventListener('abort', close);
  try {
    const startLsn = await startBackupMode(session, server.serverVersion, request.label);
    signal.throwIfAborted();
    return startLsn;
  } finally {
    signal.removeEventListener('abort', close);
  }
}

/** pg_control as it was before the stop, then backup_label, then PostgreSQL's manifest that names both. */
async function stopAndStage(
  context: FilesContext,
): Promise<{ readonly stopped: StoppedBackup; readonly last: readonly PackMember[] }> {
  const { dataDirectory, directory, session, server, manifest, progress } = context;
  const controlFile = await stageControlFile(dataDirectory, directory);
  progress.enter('ending backup mode');
  const stopped = await stopBackupMode(session, server.serverVersion);
  const label = await stageText(directory, 'backup_label', stopped.backupLabel, controlFile);
  const { timeline, startLsn, stopLsn } = stopped;
  // It names these too, although they are packed after it or with it.
  await manifest.end([label, controlFile], { timeline, start: startLsn, stop: stopLsn });
  const { attributes } = controlFile.member;
  const member: PackMember = {
    type: 'file',
    path: 'backup_manifest',
    source: manifest.path,
    ...(attributes === undefined ? {} : { attributes }),
  };
  return { stopped, last: [label.member, member, controlFile.member] };
}

function record(context: FilesContext, output: PackFilesOutput, bad: BadPage[]): void {
  const { entries, manifest, progress, deps, request } = context;
  entries.add(output.entries);
  manifest.add(output.entries);
  for (const page of output.badPages) if (bad.length < MAX_BAD_PAGES) bad.push(page);
  for (const note of output.notes) deps.log.warn({ cluster: request.cluster.name }, note);
  progress.addFiles(output.entries.files);
  progress.report();
}

async function surveyOf(context: FilesContext): Promise<Survey> {
  const { deps, request, control } = context;
  const { majorVersion } = request.identity;
  const survey = await deps.pool.run(surveyTask, { ...placeOf(context), majorVersion, control: control.buffer });
  for (const note of survey.notes) deps.log.warn({ cluster: request.cluster.name }, note);
  return survey;
}

function placeOf({ dataDirectory, directory }: FilesContext): {
  readonly plan: string;
  readonly dataDirectory: string;
} {
  return { plan: join(directory, 'files'), dataDirectory };
}

/**
 * Tells the progress while `work` goes on, and tries the session from time to time: when it is lost, PostgreSQL has ended
 * backup mode, and hours of copying would be for nothing.
 */
async function whileTicking<T>(context: FilesContext, work: () => Promise<T>): Promise<T> {
  const ended = new AbortController();
  const working = work();
  const outcomes = await Promise.allSettled([
    working
      .then(() => undefined)
      .finally(() => {
        ended.abort();
      }),
    tick(context, ended.signal),
  ]);
  throwFirstFailure(outcomes);
  return await working;
}

async function tick(context: FilesContext, ended: AbortSignal): Promise<void> {
  const { progress, session, deps, control } = context;
  try {
    for (let ticks = 1; !ended.aborted; ticks += 1) {
      await deps.clock.sleep(TICK_MS, ended);
      progress.report();
      if (ticks % TICKS_PER_PING === 0) await session.query('select 1');
    }
  } catch (error) {
    if (ended.aborted) return;
    Atomics.store(control, STOP, 1n);
    throw error;
  }
}
