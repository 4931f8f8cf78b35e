import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isWaldenError, localIoError } from '../errors.ts';
import type { BackupId, ClusterName } from '../../catalog/catalog.ts';
import type { Sha256Hex } from '../../storage-drivers/driver.ts';
import { syncFile } from '../platform/files.ts';
import { createTextRoom } from '../platform/shared-text.ts';
import type { WorkerPool } from '../platform/worker-pool.ts';
import { packKey } from '../repository/keys.ts';
import { bodyOfStored, type StoredObject } from '../repository/object-bytes.ts';
import type { Repository } from '../repository/repository.ts';
import {
  type PackFilesInput,
  type PackFilesOutput,
  packFilesTask,
  type PackMember,
  type PageRules,
  sealPackTask,
  STOP,
} from './pack-input.ts';

/** A pack is closed when it has grown beyond this. */
const PACK_BYTES = 512 * 1024 * 1024;
/** How often a pack is synced while it grows, so that the disk works beside the workers and little is left at the end. */
const SYNCS_PER_PACK = 8;

export interface PackSettings {
  readonly cluster: ClusterName;
  readonly id: BackupId;
  readonly repositories: readonly Repository[];
  readonly pool: WorkerPool;
  readonly compressionLevel: number;
  /** For the staged packs; removed by the caller. */
  readonly directory: string;
  /** Bytes after which a pack is closed; 512 MiB unless told. */
  readonly packBytes?: number | undefined;
  readonly control: BigInt64Array<SharedArrayBuffer>;
  readonly signal: AbortSignal;
  /** Called in the order in which the files stand in their pack; what it is given is good until it returns. */
  readonly onPacked: (output: PackFilesOutput) => void;
}

/** The members that one task packs. */
export type PackTask = PackFilesInput['members'];

export interface OpenPack {
  /** From 1. */
  readonly number: number;
  readonly path: string;
  /** For the text of one task at a time. */
  readonly room: SharedArrayBuffer;
  offset: number;
  sealedSha256: Sha256Hex | undefined;
  /** Up to where it was synced, or is being. */
  syncedTo: number;
  /** Never ignored: the kernel tells an error of the disk once, and a later fsync may succeed in spite of it. */
  syncing: Promise<void>;
}

/** The packs of a backup: those that grow, staged, and those that are sealed and stored beside the work on the next ones. */
export class PackShelf {
  readonly #settings: PackSettings;
  readonly #stored: StoredObject[] = [];
  readonly #publishing = new Set<Promise<void>>();
  #numbers = 0;

  constructor(settings: PackSettings) {
    this.#settings = settings;
  }

  /** Bytes beyond which a pack is to be closed. */
  get packBytes(): number {
    return this.#settings.packBytes ?? PACK_BYTES;
  }

  newPack(): OpenPack {
    this.#numbers += 1;
    return {
      number: this.#numbers,
      path: packPath(this.#settings.directory, this.#numbers),
      room: createTextRoom(),
      offset: 0,
      sealedSha256: undefined,
      syncedTo: 0,
      syncing: Promise.resolve(),
    };
  }

  /** Packs files at the end of a pack, for which no other task is under way. */
  async append(pack: OpenPack, members: PackTask, pages: PageRules | undefined): Promise<void> {
    const { pool, compressionLevel, control, onPacked } = this.#settings;
    const output = await pool.run(packFilesTask, {
      pack: pack.path,
      packNumber: pack.number,
      offset: pack.offset,
      compressionLevel,
      members,
      pages,
      room: pack.room,
      control: control.buffer,
    });
    onPacked(output);
    await this.grown(pack, output);
  }

  /** Something was written at the end of a pack: now and then that is synced. */
  async grown(pack: OpenPack, { offset, sealedSha256 }: Pick<OpenPack, 'offset' | 'sealedSha256'>): Promise<void> {
    pack.offset = offset;
    pack.sealedSha256 = sealedSha256;
    if (pack.offset - pack.syncedTo < this.packBytes / SYNCS_PER_PACK) return;
    await pack.syncing;
    pack.syncedTo = pack.offset;
    pack.syncing = syncPack(pack);
    // Whoever waits for it next hears of the failure; until then it must not count as unhandled.
    pack.syncing.catch(() => undefined);
  }

  /** Seals and stores a pack, to which nothing is added any more. The first failure stops all work of the backup. */
  publishInBackground(pack: OpenPack): Promise<void> {
    const publishing = this.stopAllOnFailure(this.#publish(pack));
    this.#publishing.add(publishing);
    // `settle` reports a failure; until then it must not count as unhandled.
    publishing.catch(() => undefined);
    return publishing;
  }

  /** Packs the last files, in this order, at the end of the last pack, and stores all that is open. */
  async finish(open: readonly OpenPack[], last: readonly PackMember[]): Promise<readonly StoredObject[]> {
    const pack = open.reduce<OpenPack | undefined>(
      (a, b) => (a === undefined || b.number > a.number ? b : a),
      undefined,
    );
    for (const other of open) if (other !== pack) void this.publishInBackground(other);
    const lastPack = pack ?? this.newPack();
    await this.append(lastPack, last, undefined);
    void this.publishInBackground(lastPack);
    await this.settle();
    return this.#stored;
  }

  /** Waits until nothing is being stored. @throws the first failure */
  async settle(): Promise<void> {
    throwFirstFailure(await Promise.allSettled(this.#publishing));
  }

  async stopAllOnFailure(work: Promise<void>): Promise<void> {
    try {
      await work;
    } catch (error) {
      Atomics.store(this.#settings.control, STOP, 1n);
      throw error;
    }
  }

  async #publish(pack: OpenPack): Promise<void> {
    const { pool, repositories, cluster, id, signal } = this.#settings;
    const { path, offset, sealedSha256 } = pack;
    const stored = await pool.run(sealPackTask, { pack: path, offset, sealedSha256 });
    await pack.syncing;
    await syncPack(pack);
    const key = packKey(cluster, id, pack.number);
    // Settled, all of them: after a failure nothing may appear in a repository any more.
    throwFirstFailure(
      await Promise.allSettled(
        repositories.map(({ driver }) =>
          driver.put(key, bodyOfStored(pack.path, stored), { ifExists: 'fail', signal }),
        ),
      ),
    );
    await rm(pack.path);
    this.#stored[pack.number - 1] = stored;
  }
}

export function packPath(directory: string, number: number): string {
  return join(directory, `${number}.tar.zst`);
}

async function syncPack({ path }: OpenPack): Promise<void> {
  try {
    await syncFile(path);
  } catch (error) {
    throw localIoError(error, `unable to write the staged pack ${path}`);
  }
}

/** What went wrong, rather than what was stopped because of it. */
export function throwFirstFailure(outcomes: readonly PromiseSettledResult<void>[]): void {
  const failures = outcomes.filter((outcome) => outcome.status === 'rejected');
  const cause = failures.find(({ reason }) => !isWaldenError(reason, 'INTERRUPTED')) ?? failures[0];
  if (cause !== undefined) throw cause.reason;
}
