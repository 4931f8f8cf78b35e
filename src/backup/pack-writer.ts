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

interface OpenPack {
  readonly number: number;
  readonly path: string;
  /** One task at a time is under way for a pack. */
  readonly room: SharedArrayBuffer;
  offset: number;
  sealedSha256: Sha256Hex | undefined;
  /** Up to where it was synced, or is being. */
  syncedTo: number;
  /** Never ignored: the kernel tells an error of the disk once, and a later fsync may succeed in spite of it. */
  syncing: Promise<void>;
}

/**
 * Fills packs in as many lanes as there are workers: each lane has one open pack and one task under way. A full pack is
 * sealed and stored beside the work on the next one.
 */
export class PackWriter {
  readonly #settings: PackSettings;
  readonly #packs: StoredObject[] = [];
  readonly #publishing = new Set<Promise<void>>();
  #numbers = 0;
  #open: OpenPack[] = [];

  constructor(settings: PackSettings) {
    this.#settings = settings;
  }

  /** Packs all of `tasks`; resolves or rejects only when no task is under way any more. */
  async pack(tasks: Iterable<PackTask>, lanes: number, pages: PageRules | undefined): Promise<void> {
    const shared = tasks[Symbol.iterator]();
    throwFirstFailure(
      await Promise.allSettled(Array.from({ length: lanes }, () => this.#stopAllOnFailure(this.#lane(shared, pages)))),
    );
  }

  /** Packs the last files, in this order, at the end of the last pack, and stores all that is open. */
  async finish(last: readonly PackMember[]): Promise<readonly StoredObject[]> {
    const pack = this.#open.reduce<OpenPack | undefined>(
      (a, b) => (a === undefined || b.number > a.number ? b : a),
      undefined,
    );
    this.#open = this.#open.filter((other) => other !== pack);
    const lastPack = pack ?? this.#newPack();
    for (const open of this.#open) void this.#publishInBackground(open);
    await this.#packInto(lastPack, last, undefined);
    void this.#publishInBackground(lastPack);
    await this.settle();
    return this.#packs;
  }

  /** Waits until nothing is under way. @throws the first failure */
  async settle(): Promise<void> {
    throwFirstFailure(await Promise.allSettled(this.#publishing));
  }

  async #lane(tasks: Iterator<PackTask>, pages: PageRules | undefined): Promise<void> {
    const { packBytes = PACK_BYTES, signal } = this.#settings;
    let pack = this.#open.shift();
    let published: Promise<void> = Promise.resolve();
    for (let next = tasks.next(); next.done !== true; next = tasks.next()) {
      signal.throwIfAborted();
      pack ??= this.#newPack();
      await this.#packInto(pack, next.value, pages);
      if (pack.offset < packBytes) continue;
      // One pack per lane in storing: staged files must not pile up when the store is slower than the workers.
      await published;
      published = this.#publishInBackground(pack);
      pack = undefined;
    }
    if (pack !== undefined) this.#open.push(pack);
  }

  async #packInto(pack: OpenPack, members: PackTask, pages: PageRules | undefined): Promise<void> {
    const { pool, compressionLevel, control } = this.#settings;
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
    pack.offset = output.offset;
    pack.sealedSha256 = output.sealedSha256;
    this.#settings.onPacked(output);
    await this.#syncNowAndThen(pack);
  }

  async #syncNowAndThen(pack: OpenPack): Promise<void> {
    const { packBytes = PACK_BYTES } = this.#settings;
    if (pack.offset - pack.syncedTo < packBytes / SYNCS_PER_PACK) return;
    await pack.syncing;
    pack.syncedTo = pack.offset;
    pack.syncing = syncPack(pack);
    // Whoever waits for it next hears of the failure; until then it must not count as unhandled.
    pack.syncing.catch(() => undefined);
  }

  #newPack(): OpenPack {
    this.#numbers += 1;
    return {
      number: this.#numbers,
      path: join(this.#settings.directory, `${this.#numbers}.tar.zst`),
      room: createTextRoom(),
      offset: 0,
      sealedSha256: undefined,
      syncedTo: 0,
      syncing: Promise.resolve(),
    };
  }

  #publishInBackground(pack: OpenPack): Promise<void> {
    const publishing = this.#stopAllOnFailure(this.#publish(pack));
    this.#publishing.add(publishing);
    // `settle` reports a failure; until then it must not count as unhandled.
    publishing.catch(() => undefined);
    return publishing;
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
    this.#packs[pack.number - 1] = stored;
  }

  async #stopAllOnFailure(work: Promise<void>): Promise<void> {
    try {
      await work;
    } catch (error) {
      Atomics.store(this.#settings.control, STOP, 1n);
      throw error;
    }
  }
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
