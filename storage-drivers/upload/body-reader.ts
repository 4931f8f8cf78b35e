import { WaldenError } from '../../src/errors.ts';
import type { ObjectBody } from '../driver.ts';
import { sourceOf } from './body-source.ts';
import { type Digests, RunningDigests, type WantedDigests } from './digests.ts';
import { DistantDigests } from './hash-thread.ts';
import type { Allotment } from './upload-memory.ts';

/** What is smaller is hashed sooner than another thread is told. */
const LEAST_DISTANT_BYTES = 1024 * 1024;
const NOTHING: Digests = {};

/** Reads a body from its beginning to its end, and hashes what is asked for, and what comes into memory, on the way. */
export class BodyReader {
  readonly #body: ObjectBody;
  readonly #source;
  readonly #wanted: Required<WantedDigests>;
  readonly #isRead: boolean;
  #digests: RunningDigests | DistantDigests | undefined;
  #done = 0;

  constructor(body: ObjectBody, { whole = [], each = [] }: WantedDigests = {}) {
    this.#body = body;
    // What is in memory already is what was promised.
    this.#isRead = body.bytes === undefined;
    const others = whole.filter((algorithm) => algorithm !== 'sha256');
    this.#wanted = { whole: this.#isRead ? ['sha256', ...others] : others, each };
    this.#source = sourceOf(body);
  }

  /** @throws STORAGE_SIZE when the body ends before */
  async read(length: number, allotment: Allotment): Promise<Buffer> {
    const bytes = await this.#source.take(length, () => allotment.room(length));
    this.#done += bytes.length;
    if (bytes.length < length) throw this.#lie();
    return bytes;
  }

  /** Of what was just read. Asked in the order of the body, for all of it. */
  async digestsOf(bytes: Buffer): Promise<Digests> {
    const { whole, each } = this.#wanted;
    if (whole.length + each.length === 0) return NOTHING;
    this.#digests ??= isDistant(bytes) ? new DistantDigests(this.#wanted) : new RunningDigests(this.#wanted);
    return await this.#digests.add(bytes);
  }

  /** @throws STORAGE_SIZE when there is more */
  async assertEnd(): Promise<void> {
    const { length } = await this.#source.take(1, () => Buffer.alloc(1));
    this.#done += length;
    if (length > 0) throw this.#lie();
  }

  /** Of all that was read, once. @throws STORAGE_SIZE when it is not what was promised */
  async finish(): Promise<Digests & { readonly sha256: string }> {
    const sha256 = await this.#body.sha256();
    const found = (await this.#digests?.finish()) ?? NOTHING;
    if (this.#isRead && found.sha256 !== sha256) throw this.#lie();
    return { ...found, sha256 };
  }

  close(): void {
    this.#source.close();
    if (this.#digests instanceof DistantDigests) this.#digests.forget();
  }

  #lie(): WaldenError {
    return new WaldenError(
      'STORAGE_SIZE',
      `the body gave ${this.#done} other bytes than the ${this.#body.size} it promised`,
    );
  }
}

function isDistant({ buffer, byteLength }: Buffer): boolean {
  return buffer instanceof SharedArrayBuffer && byteLength >= LEAST_DISTANT_BYTES;
}
