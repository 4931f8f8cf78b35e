import { isWaldenError, toWaldenError, type WaldenError } from '../../errors.ts';
import type { Clock } from '../../platform/clock.ts';
import type { WalFileName } from '../../postgres/wal-name.ts';
import type { WalFileSource } from '../file-source.ts';
import type { ReceiveSpool } from './receive-spool.ts';

const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 60_000;
/** What will be so the next time too. */
const REFUSED = ['ARCHIVE_DUPLICATE', 'FORMAT_INVALID', 'SERVER_MISMATCH'] as const;
/** What is in memory alone would be lost with the service, and commits may wait for it: after this it goes to the spool. */
const LONGEST_IN_MEMORY_MS = 2_000;

export interface ReceivedFileWay {
  readonly spool: ReceiveSpool;
  /** Makes one file durable in every repository that the cluster requires; how many run at once is its business. */
  readonly archive: (file: WalFileName, source: WalFileSource) => Promise<void>;
  readonly clock: Clock;
  /** It has come into the spool. */
  readonly safe: () => void;
  /** It stays in the spool, or comes into it, and is tried again. */
  readonly failed: (file: WalFileName, error: WaldenError) => void;
  /** Ends everything. */
  readonly stop: AbortSignal;
  /** Ends the pauses of what may go the next time. */
  readonly again: () => AbortSignal;
}

/** `lost`: neither in the repositories nor in the spool, and never will be. `stopped`: where it was. */
export type Outcome = 'stored' | 'lost' | 'stopped';

/** One file on its way into the repositories, from the spool or from memory: tried until it is there, or until it is stopped. */
export class ReceivedFile {
  readonly name: WalFileName;
  readonly #way: ReceivedFileWay;
  #isInSpool: boolean;
  #failure: WaldenError | undefined;
  /** Resolves when it is in the spool or has ended. */
  readonly settled: Promise<void>;
  readonly ended: Promise<Outcome>;

  /** @param content where it is in memory alone: nobody changes it any more */
  constructor(name: WalFileName, way: ReceivedFileWay, content?: Uint8Array) {
    this.name = name;
    this.#way = way;
    this.#isInSpool = content === undefined;
    let settle: () => void = () => undefined;
    const inSpool = new Promise<void>((resolve) => (settle = resolve));
    if (content === undefined) settle();
    this.ended = this.#go(content, settle);
    this.settled = Promise.race([inSpool, this.ended.then(() => undefined)]);
  }

  /** Why it did not go the last time. */
  get failure(): WaldenError | undefined {
    return this.#failure;
  }

  /** Whether it would outlive the service. */
  get isInSpool(): boolean {
    return this.#isInSpool;
  }

  /** Whether the repositories will not take it, however often it is tried. */
  get isRefused(): boolean {
    return isWaldenError(this.#failure, ...REFUSED);
  }

  async #go(content: Uint8Array | undefined, settle: () => void): Promise<Outcome> {
    if (this.#isStopped()) return 'stopped';
    try {
      const isStored = content !== undefined && (await this.#fromMemory(content, settle));
      if (isStored && !this.#isInSpool) return 'stored';
    } catch (error) {
      if (this.#isStopped()) return 'stopped';
      this.#failure = toWaldenError(error);
      return 'lost';
    }
    // What is stored already is only compared, and leaves the spool.
    return await this.#fromSpool();
  }

  /** @returns whether it is stored; it is in the spool where it is not, and perhaps where it is. @throws LOCAL_IO, STORAGE_FULL when it is neither */
  async #fromMemory(content: Uint8Array, settle: () => void): Promise<boolean> {
    const { archive, clock } = this.#way;
    const keep = async (): Promise<void> => {
      await this.#way.spool.store(this.name, content);
      this.#isInSpool = true;
      settle();
      this.#way.safe();
    };
    const ended = new AbortController();
    const late = clock.sleep(LONGEST_IN_MEMORY_MS, ended.signal).then(keep);
    // The pause ended, or the spool does not take it, which the repositories may all the same.
    const tried = late.catch(() => undefined);
    try {
      await archive(this.name, content);
      ended.abort();
      await tried;
      return true;
    } catch (error) {
      ended.abort();
      await tried;
      if (this.#isStopped()) throw error;
      this.#note(error);
      if (!this.#isInSpool) await keep();
      return false;
    }
  }

  async #fromSpool(): Promise<Outcome> {
    const { spool, archive, clock, stop, again } = this.#way;
    for (let failures = 1; !this.#isStopped(); failures += 1) {
      try {
        await archive(this.name, spool.finishedPath(this.name));
        await spool.remove(this.name);
        return 'stored';
      } catch (error) {
        // Whoever stops the service is no failure.
        if (this.#isStopped()) break;
        this.#note(error);
        const ended = this.isRefused ? stop : AbortSignal.any([stop, again()]);
        await clock.sleep(waitAfter(failures), ended).catch(() => undefined);
      }
    }
    return 'stopped';
  }

  #note(error: unknown): void {
    this.#failure = toWaldenError(error);
    this.#way.failed(this.name, this.#failure);
  }

  #isStopped(): boolean {
    return this.#way.stop.aborted;
  }
}

function waitAfter(failures: number): number {
  return Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (failures - 1)) * (0.5 + Math.random() / 2);
}
