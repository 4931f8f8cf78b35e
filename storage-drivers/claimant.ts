import { createHash, randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { isWaldenError, WaldenError } from '../src/errors.ts';
import type { Clock } from '../src/platform/clock.ts';
import type { ObjectBody, ObjectKey, Sha256Hex, StorageDriver } from './driver.ts';
import { objectKey } from './object-key.ts';
import { SLOWEST_UPLOAD } from './with-deadline.ts';

export const CLAIMS = '.claims/';
/** Much longer than a small put may take, together with what the clocks of two services may differ. */
const VALID_MS = 3_600_000;
const LONGEST_WAIT_MS = 60_000;
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 2_000;

interface ClaimantUse {
  readonly instance: string;
  readonly clock: Clock;
  readonly signal: AbortSignal | undefined;
  /** Of the object that is to be created. */
  readonly temporary: boolean | undefined;
}

interface Claim {
  readonly key: ObjectKey;
  readonly instance: string;
  /** Milliseconds, by the clock of who claims. */
  readonly since: number;
}

/**
 * One attempt of one instance to create one object in a store that looks and then writes.
 *
 * Whoever wants to do that first claims the key with an object of its own, `.claims/<key>/<instance>.<since>.<until>.<unique>`,
 * then lists the claims. It writes only when it finds itself alone, and gives its claim up only when its put has ended. Of two
 * that overlap, the later one to list sees the claim of the other; the older claim stays, the other one withdraws and looks
 * again.
 *
 * A put whose outcome is unknown may still take effect: its claim stays until it is over by its name, whatever this instance
 * tries afterwards, unless that succeeds. Where nothing may be deleted, a claim that is given up gets a byte instead.
 */
export class Claimant {
  readonly #driver: StorageDriver;
  readonly #key: ObjectKey;
  readonly #use: ClaimantUse;
  readonly #prefix: string;
  /** Of this attempt; undefined before it, and while it has withdrawn. */
  #current: Claim | undefined;
  /** Of earlier attempts of this instance, whose outcome nobody knows. */
  readonly #earlier = new Map<ObjectKey, Claim>();

  constructor(driver: StorageDriver, key: ObjectKey, use: ClaimantUse) {
    this.#driver = driver;
    this.#key = objectKey(key);
    this.#use = use;
    this.#prefix = `${CLAIMS}${key}/`;
  }

  /** @throws STORAGE_OBJECT_EXISTS, STORAGE_UNAVAILABLE (others claim it for too long), and what the driver's put throws */
  async create(body: ObjectBody): Promise<void> {
    const { signal, temporary } = this.#use;
    let unknown = false;
    try {
      await this.#claim(body.size);
      // The driver looks whether the key is taken, now that nobody else is about to take it: it cannot create in one step.
      unknown = true;
      await this.#driver.put(this.#key, body, { ifExists: 'fail', temporary, signal });
      unknown = false;
      await this.#giveUpEarlier();
    } catch (error) {
      unknown &&= isWaldenError(error, 'STORAGE_UNAVAILABLE', 'INTERRUPTED');
      throw error;
    } finally {
      if (!unknown) await this.#withdraw();
    }
  }

  /**
   * A body that the store itself creates in one step. Somebody with a larger one may have looked before, and may write
   * afterwards: then he still has his claim, or his object is there instead.
   * @throws STORAGE_OBJECT_EXISTS, STORAGE_UNAVAILABLE, and what the driver's put throws
   */
  async createAtOnce(body: ObjectBody): Promise<void> {
    const { signal, temporary } = this.#use;
    await this.#driver.put(this.#key, body, { ifExists: 'fail', temporary, signal });
    await this.settled();
    const { size } = await this.#driver.stat(this.#key, { signal });
    if (size !== body.size) throw new WaldenError('STORAGE_OBJECT_EXISTS', `${this.#key} exists already`);
  }

  /** Resolves when nobody else has a claim: what is there stays. @throws STORAGE_UNAVAILABLE when that takes too long */
  async settled(): Promise<void> {
    const wait = this.#patience();
    while ((await this.#rivals()).length > 0) await wait();
  }

  /** Resolves when this instance alone has a claim. */
  async #claim(bytes: number): Promise<void> {
    const wait = this.#patience();
    await this.#store(bytes);
    for (;;) {
      const rivals = await this.#rivals();
      if (rivals.length === 0) {
        if (this.#current !== undefined) return;
        await this.#store(bytes);
        continue;
      }
      const mine = [...this.#earlier.values(), ...(this.#current === undefined ? [] : [this.#current])];
      if (rivals.some((rival) => mine.every((claim) => isBefore(rival, claim)))) await this.#withdraw();
      await wait();
      await this.#assertFree();
    }
  }

  async #store(bytes: number): Promise<void> {
    const { clock, instance, signal } = this.#use;
    const since = clock.now().getTime();
    const until = Math.ceil(since + VALID_MS + bytes / SLOWEST_UPLOAD);
    // Two attempts may begin in the same millisecond, and giving up the one must not give up the other.
    const key = objectKey(`${this.#prefix}${instance}.${since}.${until}.${randomUUID()}`);
    this.#current = { key, instance, since };
    await this.#driver.put(key, bodyOf(''), { ifExists: 'replace', temporary: true, signal });
  }

  /** The claims of others that count. Those of this instance, of earlier attempts, are remembered. */
  async #rivals(): Promise<readonly Claim[]> {
    const { clock, instance, signal } = this.#use;
    const now = clock.now().getTime();
    const rivals: Claim[] = [];
    for await (const { key, size } of this.#driver.list(this.#prefix, { signal })) {
      const [owner = '', since = '', until = ''] = key.slice(this.#prefix.length).split('.');
      if (size > 0 || now > Number(until)) continue;
      const claim = { key, instance: owner, since: Number(since) };
      if (owner !== instance) rivals.push(claim);
      else if (key !== this.#current?.key) this.#earlier.set(key, claim);
    }
    return rivals;
  }

  /** Each call waits a little longer. */
  #patience(): () => Promise<void> {
    const { clock, signal } = this.#use;
    const deadline = clock.now().getTime() + LONGEST_WAIT_MS;
    let pause = FIRST_PAUSE_MS;
    return async () => {
      if (clock.now().getTime() > deadline) {
        throw new WaldenError('STORAGE_UNAVAILABLE', `another service is about to store ${this.#key}, for too long`, {
          hint: `give every service a cluster of its own; if that one is gone, remove ${this.#prefix} from the repository`,
        });
      }
      try {
        await clock.sleep(pause * (0.5 + Math.random() / 2), signal);
      } catch (cause) {
        throw new WaldenError('INTERRUPTED', `gave up to wait for another service to store ${this.#key}`, { cause });
      }
      pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
    };
  }

  async #withdraw(): Promise<void> {
    const claim = this.#current;
    this.#current = undefined;
    if (claim !== undefined) await this.#giveUp(claim.key);
  }

  /** What they were for is there now. */
  async #giveUpEarlier(): Promise<void> {
    for (const key of this.#earlier.keys()) await this.#giveUp(key);
    this.#earlier.clear();
  }

  async #giveUp(claim: ObjectKey): Promise<void> {
    try {
      await this.#driver.remove(claim);
    } catch (error) {
      // It is of no harm once the object is there, and otherwise counts until it is over.
      if (!isWaldenError(error, 'STORAGE_DENIED', 'STORAGE_LOCKED')) return;
      await this.#driver.put(claim, bodyOf('.'), { ifExists: 'replace', temporary: true }).catch(() => undefined);
    }
  }

  async #assertFree(): Promise<void> {
    try {
      await this.#driver.stat(this.#key, { signal: this.#use.signal });
    } catch (error) {
      if (isWaldenError(error, 'STORAGE_OBJECT_MISSING')) return;
      throw error;
    }
    throw new WaldenError('STORAGE_OBJECT_EXISTS', `${this.#key} exists already`);
  }
}

/** An order that all services agree on, whatever their clocks say. */
function isBefore(one: Claim, other: Claim): boolean {
  return one.since === other.since ? one.instance < other.instance : one.since < other.since;
}

function bodyOf(text: string): ObjectBody {
  const bytes = Buffer.from(text);
  return {
    size: bytes.length,
    sha256: () => Promise.resolve(createHash('sha256').update(bytes).digest('hex') as Sha256Hex),
    path: undefined,
    open: () => Readable.from(bytes.length === 0 ? [] : [bytes], { objectMode: false }),
  };
}
