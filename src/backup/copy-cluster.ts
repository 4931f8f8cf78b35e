import { join } from 'node:path';
import type { BackupFacts, BackupId } from '../../catalog/catalog.ts';
import type { StoredObject } from '../repository/object-bytes.ts';
import type { Lsn } from '../postgres/lsn.ts';
import type { Session } from '../postgres/session.ts';
import type { BackupDeps, BackupRequest } from './backup-deps.ts';
import { startBackupMode, type StoppedBackup, stopBackupMode } from './backup-mode.ts';
import { corruptPages } from './corrupt-pages.ts';
import type { EntryRecord } from './entry-record.ts';
import { stageControlFile, stageText } from './last-files.ts';
import { type BadPage, type PackFilesOutput, type PackMember, STOP } from './pack-input.ts';
import { PackWriter, throwFirstFailure } from './pack-writer.ts';
import { directoryMembers, planTasks, tablespacesOf } from './plan-tasks.ts';
import type { ServerFacts } from './preflight.ts';
import type { ProgressReport } from './progress.ts';
import { type Survey, surveyTask } from './survey-input.ts';

/** How often the progress is told, and how many of these go by before the session is tried. */
const TICK_MS = 500;
const TICKS_PER_PING = 40;
const MAX_BAD_PAGES = 1_000_000;

export interface CopyContext {
  readonly deps: BackupDeps;
  readonly request: BackupRequest;
  readonly id: BackupId;
  readonly session: Session;
  readonly server: ServerFacts;
  /** For staged files; removed by the caller. */
  readonly directory: string;
  readonly entries: EntryRecord;
  readonly control: BigInt64Array<SharedArrayBuffer>;
  readonly progress: ProgressReport;
  readonly signal: AbortSignal;
}

export interface CopiedCluster {
  readonly stopped: StoppedBackup;
  readonly packs: readonly StoredObject[];
  readonly corrupt: BackupFacts['corruptPages'];
  readonly checksumsVerified: boolean;
  readonly tablespaces: BackupFacts['tablespaces'];
}

/**
 * From pg_backup_start to the last stored pack. Whatever is thrown, no worker and no transfer is under way any more when
 * this rejects; backup mode ends with the caller's session.
 */
export async function copyCluster(context: CopyContext): Promise<CopiedCluster> {
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
async function startUnlessAborted({ session, server, request, signal }: CopyContext): Promise<Lsn> {
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
  context: CopyContext,
): Promise<{ readonly stopped: StoppedBackup; readonly last: readonly PackMember[] }> {
  const { request, directory, session, server, entries, progress } = context;
  const controlFile = await stageControlFile(request.cluster.dataDirectory, directory);
  progress.enter('ending backup mode');
  const stopped = await stopBackupMode(session, server.serverVersion);
  const label = await stageText(directory, 'backup_label', stopped.backupLabel, controlFile);
  const { timeline, startLsn, stopLsn } = stopped;
  await entries.endPostgres([label, controlFile], { timeline, start: startLsn, stop: stopLsn });
  const { attributes } = controlFile.member;
  const manifest: PackMember = {
    type: 'file',
    path: 'backup_manifest',
    source: entries.postgres.path,
    ...(attributes === undefined ? {} : { attributes }),
  };
  return { stopped, last: [label.member, manifest, controlFile.member] };
}

function record({ entries, progress, deps, request }: CopyContext, output: PackFilesOutput, bad: BadPage[]): void {
  entries.add(output.entries);
  // Beyond that the list helps nobody: the cluster is not damaged here and there, it is destroyed.
  for (const page of output.badPages) if (bad.length < MAX_BAD_PAGES) bad.push(page);
  for (const note of output.notes) deps.log.warn({ cluster: request.cluster.name }, note);
  progress.addFiles(output.entries.files);
  progress.report();
}

async function surveyOf(context: CopyContext): Promise<Survey> {
  const { deps, request, control } = context;
  const { majorVersion } = request.identity;
  const survey = await deps.pool.run(surveyTask, { ...placeOf(context), majorVersion, control: control.buffer });
  for (const note of survey.notes) deps.log.warn({ cluster: request.cluster.name }, note);
  return survey;
}

function placeOf({ request, directory }: CopyContext): { readonly plan: string; readonly dataDirectory: string } {
  return { plan: join(directory, 'files'), dataDirectory: request.cluster.dataDirectory };
}

/**
 * Tells the progress while `work` goes on, and tries the session from time to time: when it is lost, PostgreSQL has ended
 * backup mode, and hours of copying would be for nothing.
 */
async function whileTicking<T>(context: CopyContext, work: () => Promise<T>): Promise<T> {
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

async function tick(context: CopyContext, ended: AbortSignal): Promise<void> {
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
