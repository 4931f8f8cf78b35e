import { toWaldenError, WaldenError } from '../../errors.ts';
import { parseBackupLabel } from '../../postgres/backup-label.ts';
import { parseControlFile } from '../../postgres/control-file.ts';
import type { ServerTablespace } from '../../postgres/replication/base-backup-messages.ts';
import { microsFromDate } from '../../postgres/timestamp.ts';
import type { CopiedCluster, CopyContext } from '../backup-source.ts';
import type { StoppedBackup } from '../backup-mode.ts';
import { corruptPages } from '../corrupt-pages.ts';
import { EntryRecord } from '../entry-record.ts';
import { stageBytes } from '../last-files.ts';
import { type PackMember, STOP } from '../pack-input.ts';
import { PackShelf, throwFirstFailure } from '../pack-shelf.ts';
import type { AttemptPlan, StreamServer } from './copy-stream.ts';
import { giveRooms, takeRooms } from './kept-rooms.ts';
import type { FromReader, ReaderSetup, ReceivedBackup } from './reader-messages.ts';
import { ReaderThread } from './reader-thread.ts';
import { tablespaceMap } from './tablespace-map.ts';
import { UnitWriter } from './unit-writer.ts';

/** How often the progress is told. */
const TICK_MS = 500;
/** Besides one for each worker: one that is filled, and two that wait. */
const MORE_ROOMS = 3;
const SILENCE_MS = 300_000;

/** One BASE_BACKUP from its beginning to its last stored pack: a thread reads, workers compress and write. */
export class StreamAttempt {
  readonly #context: CopyContext;
  readonly #server: StreamServer;
  readonly #plan: AttemptPlan;
  #tablespaces: readonly ServerTablespace[] = [];

  /** The directory of the context is its own. */
  constructor(context: CopyContext, server: StreamServer, plan: AttemptPlan) {
    this.#context = context;
    this.#server = server;
    this.#plan = plan;
  }

  /** @throws as OpenedSource.copy */
  async run(): Promise<CopiedCluster | 'slow link'> {
    const { directory, id, signal } = this.#context;
    signal.throwIfAborted();
    const entries = await EntryRecord.create(directory, id);
    try {
      const copied = await this.#copy(entries);
      if (copied === 'slow link') await entries.abandon();
      return copied;
    } catch (error) {
      await entries.abandon();
      throw error;
    }
  }

  async #copy(entries: EntryRecord): Promise<CopiedCluster | 'slow link'> {
    const { progress, signal, control } = this.#context;
    const rooms = takeRooms(this.#context.request.workers + MORE_ROOMS);
    progress.enter('waiting for a checkpoint');
    const reader: ReaderThread = new ReaderThread(this.#setup(rooms), {
      began: (facts) => {
        this.#began(facts, writer);
      },
      unit: (unit) => {
        // The failure of a unit is told by `settle`; nothing more is to be read then.
        writer.add(unit).catch(() => void reader.stop());
      },
      judged: () => {
        writer.store();
      },
      notice: (text) => {
        this.#tell(`PostgreSQL says: ${text}`);
      },
    });
    const writer = this.#writer(entries, rooms, (room) => {
      reader.free(room);
    });
    const stop = (): void => void reader.stop();
    signal.addEventListener('abort', stop);
    const ticks = setInterval(() => {
      progress.report();
    }, TICK_MS);
    try {
      const received = await reader.outcome;
      await writer.settle();
      if (received === 'slow link') return received;
      const copied = await this.#finish(entries, writer, received);
      giveRooms(rooms);
      return copied;
    } catch (error) {
      Atomics.store(control, STOP, 1n);
      await reader.stop();
      // What stopped the reader is what to tell.
      throwFirstFailure([{ status: 'rejected', reason: error }, ...(await Promise.allSettled([writer.settle()]))]);
      throw error;
    } finally {
      clearInterval(ticks);
      signal.removeEventListener('abort', stop);
      await reader.stop();
    }
  }

  #setup(rooms: ReaderSetup['rooms']): ReaderSetup {
    const { request, directory, control } = this.#context;
    const { conninfo, hostIndex, maxRateKilobytes } = this.#server;
    const { compression, watchesLink, parentManifest } = this.#plan;
    const { systemIdentifier, majorVersion, segmentBytes } = request.identity;
    return {
      ...{ conninfo, hostIndex, directory, rooms, watchesLink, parentManifest, control: control.buffer },
      silenceMs: request.silenceMs ?? SILENCE_MS,
      identity: { systemIdentifier, majorVersion, segmentBytes },
      options: { label: request.label, compression, maxRateKilobytes, incremental: parentManifest !== undefined },
    };
  }

  #writer(entries: EntryRecord, rooms: ReaderSetup['rooms'], free: (room: number) => void): UnitWriter {
    const { deps, request, id, directory, control, progress, signal } = this.#context;
    const { compressionLevel, packBytes } = request;
    const shelf = new PackShelf({
      ...{ cluster: request.cluster.name, id, repositories: deps.repositories, pool: deps.pool },
      ...{ compressionLevel, directory, packBytes, control, signal },
      onPacked: (output) => {
        entries.add(output.entries);
        progress.addFiles(output.entries.files);
      },
    });
    return new UnitWriter({
      ...{ shelf, entries, pool: deps.pool, rooms, directory, compressionLevel, control, free },
      keepsPacks: this.#plan.watchesLink,
      onFiles: (count) => {
        progress.addFiles(count);
        progress.report();
      },
    });
  }

  #began({ start, tablespaces, totalBytes }: Extract<FromReader, { kind: 'began' }>, writer: UnitWriter): void {
    const { dataChecksums, segmentBlocks } = this.#server;
    writer.pages = dataChecksums ? { startLsn: start.lsn, segmentBlocks } : undefined;
    this.#tablespaces = tablespaces;
    this.#context.progress.beginCopy(totalBytes);
  }

  async #finish(entries: EntryRecord, writer: UnitWriter, received: ReceivedBackup): Promise<CopiedCluster> {
    const { progress, deps } = this.#context;
    const last = await this.#stageLast(received);
    const { start, stop, label } = received;
    // Those that stand inside the data directory are directories of it.
    const tablespaces = this.#tablespaces.filter(({ location }) => location.startsWith('/'));
    progress.enter('storing the last packs');
    const packs = await writer.finish(last);
    const stopped: StoppedBackup = {
      timeline: start.timeline,
      startLsn: start.lsn,
      stopLsn: stop.lsn,
      stoppedAt: received.stoppedAt ?? microsFromDate(deps.clock.now()),
      backupLabel: Buffer.from(label.bytes).toString('utf8'),
      tablespaceMap: tablespaceMap(tablespaces),
    };
    return {
      stopped,
      packs,
      entries,
      corrupt: this.#corrupt(writer, received),
      checksumsVerified: this.#server.dataChecksums,
      tablespaces,
    };
  }

  /** In the order in which they end every backup. @throws FORMAT_INVALID */
  async #stageLast({ start, label, controlFile, manifestPath }: ReceivedBackup): Promise<readonly PackMember[]> {
    const { directory, request } = this.#context;
    const { startLsn, timeline } = parseBackupLabel(Buffer.from(label.bytes).toString('utf8'));
    if (startLsn !== start.lsn || timeline !== start.timeline) {
      throw new WaldenError('FORMAT_INVALID', 'the backup_label that PostgreSQL sent is of another backup');
    }
    this.#assertBuiltOnParent(Buffer.from(label.bytes).toString('utf8'));
    const control = this.#checkedControlFile(controlFile.bytes);
    if (control.systemIdentifier !== request.identity.systemIdentifier) {
      throw new WaldenError('SERVER_MISMATCH', `pg_control is of system ${control.systemIdentifier}`);
    }
    const stagedLabel = await stageBytes(directory, 'backup_label', label.bytes, label.attributes);
    const stagedControl = await stageBytes(directory, 'global/pg_control', controlFile.bytes, controlFile.attributes);
    const { attributes } = controlFile;
    const manifest: PackMember = { type: 'file', path: 'backup_manifest', source: manifestPath, attributes };
    return [stagedLabel.member, manifest, stagedControl.member];
  }

  /** The label is what recovery goes by: it says whether this is an increment, and of what. @throws FORMAT_INVALID */
  #assertBuiltOnParent(label: string): void {
    const { parent } = this.#server;
    const { incrementalFrom, incrementalFromTimeline } = parseBackupLabel(label);
    if (incrementalFrom === parent?.facts.startLsn && incrementalFromTimeline === parent?.facts.timeline) return;
    throw new WaldenError(
      'FORMAT_INVALID',
      'the base backup that PostgreSQL sent does not build on what it was told to',
    );
  }

  /** The server may have written it while it sent it, and cannot be asked for it again. */
  #checkedControlFile(bytes: Uint8Array): ReturnType<typeof parseControlFile> {
    try {
      return parseControlFile(Buffer.from(bytes), 'the pg_control that PostgreSQL sent');
    } catch (error) {
      const { code, message } = toWaldenError(error);
      throw new WaldenError(code, message, { hint: 'take the backup again', cause: error });
    }
  }

  /**
   * Of the pages with a wrong checksum those that cannot be believed, and the others only when the server, which reads a page
   * again before it judges it, says that there are corrupt ones.
   */
  #corrupt(writer: UnitWriter, { corrupt, stop }: ReceivedBackup): CopiedCluster['corrupt'] {
    const pages = corruptPages(
      writer.badPages.filter(({ lsn }) => corrupt || lsn !== undefined),
      stop.lsn,
    );
    if (!corrupt || pages.length > 0) return pages;
    throw new WaldenError(
      'SERVER_QUERY',
      'PostgreSQL says that pages are corrupt, and none was found among what it sent',
    );
  }

  #tell(message: string): void {
    const { deps, request, id } = this.#context;
    deps.log.warn({ cluster: request.cluster.name, backup: id }, message);
  }
}
