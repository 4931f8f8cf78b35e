import { isWaldenError, WaldenError } from '../../errors.ts';
import type { WorkerPool } from '../../platform/worker-pool.ts';
import { encodeManifestEntries, type ManifestFrame } from '../../repository/manifest.ts';
import type { StoredObject } from '../../repository/object-bytes.ts';
import type { EntryRecord } from '../entry-record.ts';
import { type BadPage, MAX_BAD_PAGES, type PackMember, type PageRules, STOP } from '../pack-input.ts';
import { type OpenPack, type PackShelf, throwFirstFailure } from '../pack-shelf.ts';
import { UnitBoard } from './board.ts';
import type { ReaderSetup } from './reader-messages.ts';
import { createTurns, wakeTurns } from './turn.ts';
import { type FilledUnit, type PackUnitOutput, packUnitTask, type UnitPart } from './unit.ts';

export interface UnitWriterSettings {
  readonly shelf: PackShelf;
  readonly entries: EntryRecord;
  readonly pool: WorkerPool;
  readonly rooms: ReaderSetup['rooms'];
  readonly directory: string;
  readonly compressionLevel: number;
  readonly control: BigInt64Array<SharedArrayBuffer>;
  /** A room was read. */
  readonly free: (room: number) => void;
  readonly onFiles: (count: number) => void;
  /** Whether packs are kept until `store` is called: what is stored cannot be taken back. */
  readonly keepsPacks: boolean;
}

interface Deferred {
  readonly resolve: (output: PackUnitOutput) => void;
  readonly reject: (error: unknown) => void;
}

/** Of a large file that is not complete yet. */
interface LargeFrames {
  readonly pack: number;
  readonly offset: number;
  readonly skip: number;
  readonly frames: ManifestFrame[];
}

/**
 * Writes units into packs, in the order in which they are added: workers compress several at a time, and what is told of each
 * is taken in that order too.
 */
export class UnitWriter {
  readonly #settings: UnitWriterSettings;
  readonly #turns = createTurns();
  readonly #board: UnitBoard;
  readonly #bad: BadPage[] = [];
  /** Units whose task has not ended, by number. */
  readonly #working = new Map<number, Deferred>();
  readonly #failures: unknown[] = [];
  #tasksEnded = 0;
  /** Set before the first unit comes; undefined where pages have no checksums. */
  pages: PageRules | undefined;
  #units = 0;
  #last: Promise<void> = Promise.resolve();
  #pack: OpenPack | undefined;
  #published: Promise<void> = Promise.resolve();
  /** Those that must not be stored yet. */
  #full: OpenPack[] = [];
  #mayStore: boolean;
  #large: LargeFrames | undefined;

  constructor(settings: UnitWriterSettings) {
    this.#settings = settings;
    this.#board = UnitBoard.create(settings.rooms.length);
    this.#mayStore = !settings.keepsPacks;
  }

  /** Full packs may be stored from now on. */
  store(): void {
    this.#mayStore = true;
    for (const pack of this.#full.splice(0)) this.#published = this.#settings.shelf.publishInBackground(pack);
  }

  /** All of them, also those that were only torn. */
  get badPages(): readonly BadPage[] {
    return this.#bad;
  }

  /** Rejects with the first failure, of this unit or one before. Afterwards every room is free that can be. */
  add(unit: FilledUnit): Promise<void> {
    const { shelf, free } = this.#settings;
    const number = this.#units;
    this.#units += 1;
    this.#board.put(number, unit);
    const working = new Promise<PackUnitOutput>((resolve, reject) => this.#working.set(number, { resolve, reject }));
    void this.#startTask();
    const placed = shelf.stopAllOnFailure(this.#takeAfter(this.#last, working, unit.part)).then(() => {
      free(unit.room);
    });
    this.#last = placed.finally(() => {
      // One that died on its worker has not passed its turn on.
      wakeTurns(this.#turns);
    });
    this.#last.catch(() => undefined);
    return this.#last;
  }

  /** A task works on whichever unit is next when it begins. One that fails does not say which it had: none can go on. */
  async #startTask(): Promise<void> {
    const { pool, rooms, directory, compressionLevel, shelf, control } = this.#settings;
    try {
      const output = await pool.run(packUnitTask, {
        ...{ rooms, directory, compressionLevel, packBytes: shelf.packBytes, pages: this.pages },
        ...{ board: this.#board.shared, turn: this.#turns.buffer, control: control.buffer },
      });
      this.#working.get(output.number)?.resolve(output);
      this.#working.delete(output.number);
    } catch (error) {
      Atomics.store(control, STOP, 1n);
      wakeTurns(this.#turns);
      this.#failures.push(error);
    }
    this.#tasksEnded += 1;
    if (this.#failures.length > 0 && this.#tasksEnded === this.#units) this.#rejectAll();
  }

  /** Once no task is under way any more. */
  #rejectAll(): void {
    const failures = this.#failures;
    const cause = failures.find((error) => !isWaldenError(error, 'INTERRUPTED')) ?? failures[0];
    for (const { reject } of this.#working.values()) reject(cause);
    this.#working.clear();
  }

  /** Waits until no unit and no pack is under way. @throws the first failure */
  async settle(): Promise<void> {
    const units = await Promise.allSettled([this.#last]);
    // A pack that could not be stored stops the units: then it is the one to tell.
    throwFirstFailure([...units, ...(await Promise.allSettled([this.#settings.shelf.settle()]))]);
  }

  /** Packs the last files at the end, and stores all that is open. */
  async finish(last: readonly PackMember[]): Promise<readonly StoredObject[]> {
    await this.#last;
    if (this.#large !== undefined) throw new WaldenError('INTERNAL', 'the last file has no end');
    return await this.#settings.shelf.finish([...this.#full, ...(this.#pack === undefined ? [] : [this.#pack])], last);
  }

  /** What is under way ends in any case: a failure before it is told, and this one's too. */
  async #takeAfter(before: Promise<void>, working: Promise<PackUnitOutput>, part: UnitPart | undefined): Promise<void> {
    const [earlier, own] = await Promise.allSettled([before, working]);
    throwFirstFailure([earlier, ...(own.status === 'rejected' ? [own] : [])]);
    if (own.status === 'fulfilled') await this.#take(own.value, part);
  }

  async #take(output: PackUnitOutput, part: UnitPart | undefined): Promise<void> {
    const { shelf, entries, onFiles } = this.#settings;
    const pack = await this.#packOf(output.pack);
    if (part === undefined) entries.add(output.entries);
    else this.#takePart(output, part);
    for (const page of output.badPages) if (this.#bad.length < MAX_BAD_PAGES) this.#bad.push(page);
    onFiles(output.entries.files);
    await shelf.grown(pack, { offset: output.offset + output.storedBytes, sealedSha256: undefined });
  }

  /** The first unit of the next pack tells that the one before is full. */
  async #packOf(number: number): Promise<OpenPack> {
    const { shelf } = this.#settings;
    if (this.#pack?.number === number) return this.#pack;
    if (this.#pack !== undefined && !this.#mayStore) {
      this.#full.push(this.#pack);
    } else if (this.#pack !== undefined) {
      // One pack in storing: staged files must not pile up when the store is slower than the server.
      await this.#published;
      this.#published = shelf.publishInBackground(this.#pack);
    }
    this.#pack = shelf.newPack();
    if (this.#pack.number !== number) throw new WaldenError('INTERNAL', `pack ${number} does not follow`);
    return this.#pack;
  }

  #takePart({ pack, offset, storedBytes }: PackUnitOutput, { skip, bytes, end }: UnitPart): void {
    const large = (this.#large ??= { pack, offset, skip, frames: [] });
    large.frames.push([storedBytes, bytes]);
    if (end === undefined) return;
    this.#large = undefined;
    const encoded = encodeManifestEntries([{ type: 'file', ...end, ...large }]);
    this.#settings.entries.add({ walden: encoded, files: 1 });
    this.#settings.onFiles(1);
  }
}
