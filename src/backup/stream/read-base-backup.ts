import { join } from 'node:path';
import { closeSync, createReadStream, openSync, writeSync } from 'node:fs';
import { isWaldenError, localIoError, WaldenError } from '../../errors.ts';
import { parseHostList } from '../../postgres/conninfo.ts';
import type {
  BaseBackupEvent,
  BackupPosition,
  ServerTablespace,
} from '../../postgres/replication/base-backup-messages.ts';
import type { BaseBackup } from '../../postgres/replication/base-backup.ts';
import { ReplicationConnection } from '../../postgres/replication/connection.ts';
import { assertOwnServer, identifyServer } from '../../postgres/replication/server-identity.ts';
import { madeForAMoment } from '../../platform/collector.ts';
import { DONE_BYTES } from '../pack-input.ts';
import type { UnitHasher } from './hash-thread.ts';
import { HashedUnits } from './hashed-units.ts';
import type { FromReader, ReaderOutcome, ReaderSetup, ReceivedBackup } from './reader-messages.ts';
import { ReceivedFiles } from './received-files.ts';
import { RoomFiller } from './room-filler.ts';
import type { RoomQueue } from './room-queue.ts';
import { ServerManifestReader } from './server-manifest.ts';
import { isLinkSlow } from './slow-link.ts';
import { Unpacker } from './unpacker.ts';

export const APPLICATION_NAME = 'walden_backup';
/** A checkpoint, and the counting of all files, come before the first byte. */
const FIRST_BYTE_MS = 3_600_000;
/** More would say the same again. */
const MOST_NOTICES = 100;

export interface ReaderPlace {
  readonly setup: ReaderSetup;
  readonly rooms: RoomQueue;
  readonly hasher: UnitHasher;
  readonly tell: (message: FromReader) => void;
  /** Aborted when the reading is to end: the connection is broken off then. */
  readonly signal: AbortSignal;
}

/**
 * Reads a base backup from the server, on a thread of its own: connects, looks once more whose server it is, takes the
 * archives apart into rooms, has them hashed, and compares what came with the server's manifest.
 * @throws SERVER_*, FORMAT_INVALID, CHECKSUM_MISMATCH, LOCAL_IO, STORAGE_FULL, INTERRUPTED (the signal)
 */
export async function readBaseBackup(place: ReaderPlace): Promise<ReaderOutcome> {
  const { conninfo, hostIndex, identity, options, parentManifest } = place.setup;
  const host = parseHostList(conninfo).hosts[hostIndex];
  if (host === undefined) throw new WaldenError('INTERNAL', `there is no host ${hostIndex}`);
  place.signal.throwIfAborted();
  const connection = await ReplicationConnection.open({
    ...host,
    application_name: host.application_name ?? APPLICATION_NAME,
  });
  const breakOff = (): void => {
    connection.fail(place.signal.reason as WaldenError);
  };
  place.signal.addEventListener('abort', breakOff);
  let isWhole = false;
  try {
    place.signal.throwIfAborted();
    const server = await identifyServer(connection);
    assertOwnServer(server, identity);
    if (parentManifest !== undefined) await connection.uploadManifest(createReadStream(parentManifest));
    const outcome = await new Reading(place, connection).run(connection.startBaseBackup(server.serverVersion, options));
    isWhole = outcome !== 'slow link';
    return outcome;
  } finally {
    place.signal.removeEventListener('abort', breakOff);
    // A server in the middle of a backup does not hear a goodbye.
    if (!isWhole) connection.fail(new WaldenError('INTERRUPTED', 'the base backup was given up'));
    await connection.close();
  }
}

class Reading {
  readonly #place: ReaderPlace;
  readonly #connection: ReplicationConnection;
  readonly #control: BigInt64Array;
  readonly #received: ReceivedFiles;
  readonly #units: HashedUnits;
  readonly #filler: RoomFiller;
  readonly #unpacker: Unpacker;
  readonly #manifest: ServerManifestReader;
  readonly #manifestPath: string;
  readonly #manifestFile: number;
  readonly #link = { begun: 0, waitedMs: 0, bytes: 0, judged: false };
  #tablespaces: readonly ServerTablespace[] = [];
  #missing: Set<number | undefined> = new Set();
  #totalBytes = 0;
  #inManifest = false;
  #start: BackupPosition | undefined;
  #stop: BackupPosition | undefined;
  #notices = 0;

  constructor(place: ReaderPlace, connection: ReplicationConnection) {
    const { directory, control, identity, options } = place.setup;
    this.#place = place;
    this.#connection = connection;
    this.#control = new BigInt64Array(control);
    this.#link.judged = !place.setup.watchesLink;
    this.#manifest = new ServerManifestReader(identity.systemIdentifier);
    this.#manifestPath = join(directory, 'backup_manifest');
    this.#manifestFile = guarded(this.#manifestPath, () => openSync(this.#manifestPath, 'wx', 0o640));
    this.#received = new ReceivedFiles(join(directory, 'received'));
    this.#units = new HashedUnits({
      hasher: place.hasher,
      received: this.#received,
      hand: (unit) => {
        place.tell({ kind: 'unit', unit });
      },
      failed: (error) => {
        connection.fail(error);
        place.rooms.fail(error);
      },
    });
    this.#filler = new RoomFiller({
      takeRoom: () => place.rooms.take(),
      hand: (draft) => {
        this.#units.add(draft);
      },
      increments: options.incremental,
    });
    const note = (text: string): void => {
      this.#notice(text);
    };
    this.#unpacker = new Unpacker({ filler: this.#filler, note }, options.compression);
  }

  async run(backup: BaseBackup): Promise<ReaderOutcome> {
    try {
      for (;;) {
        const began = performance.now();
        const events = await backup.next(this.#totalBytes === 0 ? FIRST_BYTE_MS : this.#place.setup.silenceMs);
        this.#link.waitedMs += performance.now() - began;
        for (const event of events) {
          if (event.kind === 'done') return await this.#end(event.corrupt);
          if (event.kind !== 'data' || !this.#dataNow(event.bytes)) await this.#take(event);
        }
        if (this.#hadBetterCompress()) return 'slow link';
      }
    } finally {
      closeSync(this.#manifestFile);
      this.#received.close();
    }
  }

  async #take(event: Exclude<BaseBackupEvent, { kind: 'done' }>): Promise<void> {
    switch (event.kind) {
      case 'started':
        this.#start = event.position;
        return;
      case 'tablespaces':
        this.#begin(event.tablespaces, event.totalBytes);
        return;
      case 'archive':
        this.#beginArchive(event.tablespace);
        return;
      case 'data':
        await this.#data(event.bytes);
        return;
      case 'manifest':
        await this.#beginManifest();
        return;
      case 'notice':
        this.#notice(event.text);
        return;
      case 'stopped':
        this.#stop = event.position;
    }
  }

  #begin(tablespaces: readonly ServerTablespace[], totalBytes: number): void {
    if (this.#start === undefined) throw unexpected('did not say where it starts');
    this.#tablespaces = tablespaces;
    this.#missing = new Set([undefined, ...tablespaces.map(({ oid }) => oid)]);
    this.#totalBytes = Math.max(totalBytes, 1);
    this.#place.tell({ kind: 'began', start: this.#start, tablespaces, totalBytes });
    this.#link.begun = performance.now();
    this.#link.waitedMs = 0;
  }

  #beginArchive(oid: number | undefined): void {
    const tablespace = this.#tablespaces.find((one) => one.oid === oid);
    if (!this.#missing.delete(oid)) throw unexpected('has an archive that was not announced, or twice');
    this.#unpacker.beginArchive(tablespace);
  }

  async #beginManifest(): Promise<void> {
    if (this.#inManifest || this.#missing.size > 0) throw unexpected('has not all the archives that were announced');
    this.#unpacker.endArchive();
    await this.#units.end(this.#filler.finish());
    this.#inManifest = true;
  }

  /** What does not have to wait for a room does not have to wait: a promise for each message adds up. */
  #dataNow(bytes: Buffer): boolean {
    if (this.#inManifest || !this.#unpacker.dataNow(bytes)) return false;
    this.#unpacked(bytes.length, bytes.length);
    return true;
  }

  async #data(bytes: Buffer): Promise<void> {
    if (!this.#inManifest) {
      this.#unpacked(bytes.length, await this.#unpacker.data(bytes));
      return;
    }
    guarded(this.#manifestPath, () => {
      for (let done = 0; done < bytes.length;) done += writeSync(this.#manifestFile, bytes, done);
    });
    for (const file of this.#manifest.feed(bytes)) this.#received.expect(file);
  }

  #unpacked(bytes: number, plainBytes: number): void {
    this.#link.bytes += bytes;
    Atomics.add(this.#control, DONE_BYTES, BigInt(plainBytes));
    if (this.#connection.isEncrypted) madeForAMoment(bytes);
  }

  #notice(text: string): void {
    this.#notices += 1;
    if (this.#notices <= MOST_NOTICES) this.#place.tell({ kind: 'notice', text });
  }

  #hadBetterCompress(): boolean {
    if (this.#link.judged || this.#link.begun === 0 || this.#inManifest) return false;
    const { begun, waitedMs, bytes } = this.#link;
    const elapsedMs = performance.now() - begun;
    const isSlow = isLinkSlow({ elapsedMs, waitedMs, bytes, totalBytes: this.#totalBytes });
    this.#link.judged = isSlow !== undefined;
    if (isSlow === false) this.#place.tell({ kind: 'judged' });
    return isSlow === true;
  }

  /** The server has said that the backup is complete. */
  async #end(corrupt: boolean): Promise<ReceivedBackup> {
    const [start, stop] = [this.#start, this.#stop];
    if (start === undefined || stop === undefined || !this.#inManifest) throw unexpected('came without its end');
    this.#received.expectEnd();
    const wal = this.#manifest.finish();
    if (!wal.some((range) => range.start === start.lsn) || !wal.some((range) => range.end === stop.lsn)) {
      throw new WaldenError(
        'CHECKSUM_MISMATCH',
        'the backup_manifest names other WAL than the base backup it came with',
      );
    }
    return {
      start,
      stop,
      stoppedAt: await this.#serverTime(stop),
      label: this.#unpacker.kept('backup_label'),
      controlFile: this.#unpacker.kept('global/pg_control'),
      manifestPath: this.#manifestPath,
      corrupt,
    };
  }

  async #serverTime({ lsn, timeline }: BackupPosition): Promise<ReceivedBackup['stoppedAt']> {
    try {
      return await this.#connection.serverTime({ timeline, start: lsn });
    } catch (error) {
      if (this.#place.signal.aborted || !isWaldenError(error)) throw error;
      // Hours of work must not be for nothing because of that: the clock of this host will do.
      this.#notice(`the time on the server is not known: ${error.message}`);
      return undefined;
    }
  }
}

function unexpected(what: string): WaldenError {
  return new WaldenError('SERVER_QUERY', `the base backup that PostgreSQL sent ${what}`);
}

function guarded<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw localIoError(error, `unable to write the staged file ${path}`);
  }
}
