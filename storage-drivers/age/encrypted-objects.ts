import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type {
  CallOptions,
  GetOptions,
  ObjectBody,
  ObjectFile,
  ObjectKey,
  PutOptions,
  StorageDriver,
} from '../driver.ts';
import { endingWith, exactly } from '../exact-stream.ts';
import { LentBytes } from '../lent-bytes.ts';
import type { EncryptionSettings } from '../with-encryption.ts';
import { storedKey } from './logical-list.ts';
import { openRange, openWhole, type SealedRange, sealedRange } from './open-payload.ts';
import { HEADER_BYTES } from './header.ts';
import { HEAD_BYTES, payloadKey, sealedSize } from './payload.ts';
import type { PayloadKey } from '../../src/platform/sealed-chunks.ts';
import { SharedRooms } from '../../src/platform/shared-rooms.ts';
import { bodyOfEncrypted, type IntoFile, newSealing, sealInMemory, type Sealing, sealIntoFile } from './seal-body.ts';
import { readHead, takeHead } from './take-head.ts';
import type { EncryptedFile } from '../encrypt-file.ts';

/** Larger ones that are neither in a file nor in memory go into a file. */
const STREAM_MEMORY_BYTES = 8 * 1024 * 1024;
/** Not worth the way to a worker and back. */
const SMALL_BYTES = 128 * 1024;
/** A few stay, for the next burst. */
const rooms = new SharedRooms(4);
/** Of so many objects it is remembered what they are opened with. */
const REMEMBERED = 1000;

/** What is known of an object that was opened once. */
interface Known {
  readonly sealedBytes: number;
  /** No two objects have the same one. */
  readonly nonce: Buffer;
  readonly key: PayloadKey;
}

/** Puts objects encrypted, and gets them decrypted. */
export class EncryptedObjects {
  readonly #inner: StorageDriver;
  readonly #settings: EncryptionSettings;
  /** The last used are last. */
  readonly #known = new Map<ObjectKey, Known>();

  constructor(inner: StorageDriver, settings: EncryptionSettings) {
    this.#inner = inner;
    this.#settings = settings;
  }

  async put(key: ObjectKey, body: ObjectBody, given: PutOptions): Promise<void> {
    const { largestBytes } = given;
    const options = largestBytes === undefined ? given : { ...given, largestBytes: sealedSize(largestBytes) };
    this.forget(key);
    const sealing = await newSealing((fileKey) => this.#settings.keys.seal(fileKey));
    const mostHere = body.bytes === undefined ? STREAM_MEMORY_BYTES : SMALL_BYTES;
    if (body.path === undefined && body.size <= mostHere) {
      await this.#inner.put(storedKey(key), await sealInMemory(body, sealing, key), options);
    } else if (body.bytes !== undefined && this.#inner.features.stagingDirectory === undefined) {
      await this.#putThroughMemory(key, body.bytes(), sealing, options);
    } else {
      await this.#putThroughFile(key, body, sealing, options);
    }
  }

  async #putThroughMemory(key: ObjectKey, plain: Uint8Array, sealing: Sealing, options: PutOptions): Promise<void> {
    const bytes = plain.byteLength;
    const target = rooms.take(sealedSize(bytes));
    const made = await this.#settings.encryptFile({ source: plain, bytes, target, use: 'to send', ...sealing });
    const lent = new LentBytes(new Uint8Array(target, 0, made.bytes), made.sha256);
    await this.#inner.put(storedKey(key), lent.body(), options);
    if (lent.isFree) rooms.give(target);
  }

  async #putThroughFile(key: ObjectKey, body: ObjectBody, sealing: Sealing, options: PutOptions): Promise<void> {
    const ownDirectory = this.#inner.features.stagingDirectory;
    const target = join(ownDirectory ?? this.#settings.stagingDirectory, `${randomUUID()}.age`);
    const use = ownDirectory === undefined ? 'to send' : 'to link';
    try {
      const made = await this.#encryptInto({ target, use, what: key }, body, sealing);
      await this.#inner.put(storedKey(key), bodyOfEncrypted(target, made), options);
    } finally {
      await rm(target, { force: true });
    }
  }

  #encryptInto(into: IntoFile, body: ObjectBody, sealing: Sealing): Promise<EncryptedFile> {
    const source = body.bytes?.() ?? body.path;
    if (source === undefined) return sealIntoFile(body, sealing, into);
    const { target, use } = into;
    return this.#settings.encryptFile({ source, bytes: body.size, target, use, ...sealing });
  }

  async get(key: ObjectKey, options: GetOptions = {}): Promise<Readable> {
    if ((options.offset ?? 0) === 0 && options.length === undefined) return await this.#getWhole(key, options);
    if (!this.#known.has(key)) return await this.#getRange(key, options);
    try {
      return await this.#getRange(key, options);
    } catch {
      // Perhaps it is another object by now: so once more, without what was known of the old one.
      this.forget(key);
      return await this.#getRange(key, options);
    }
  }

  /** For stores whose objects are files: a worker decrypts what it reads. */
  async openFile(
    open: NonNullable<StorageDriver['openFile']>,
    key: ObjectKey,
    options: GetOptions = {},
  ): Promise<ObjectFile> {
    const file = await open(storedKey(key), { signal: options.signal });
    try {
      const range = sealedRange(file.length, options, key);
      const head = await readHead(file, key);
      const before = this.#recall(key);
      const isSame = before !== undefined && before.nonce.equals(head.subarray(HEADER_BYTES));
      const known = isSame ? before : await this.#learn(key, head, file.length);
      const { offset, length } = range;
      return {
        ...file,
        offset: file.offset + offset,
        length: range.plainBytes === 0 ? 0 : length,
        sealed: { ...range, key: known.key },
        close: () => file.close(),
      };
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** It is about to be another object. */
  forget(key: ObjectKey): void {
    this.#known.delete(key);
  }

  /** In one request. Whether it can be opened, and its first bytes, are known when this resolves. */
  async #getWhole(key: ObjectKey, { signal }: CallOptions): Promise<Readable> {
    const stream = await this.#inner.get(storedKey(key), { signal });
    const { keys } = this.#settings;
    async function* pieces(): AsyncGenerator<Buffer> {
      const { head, rest } = await takeHead(stream as AsyncIterable<Uint8Array>, key);
      yield* openWhole(rest, await keyOf(keys, head, key), key);
    }
    return await begun(stream, pieces());
  }

  /** The first bytes are decrypted when this resolves. */
  async #getRange(key: ObjectKey, options: GetOptions): Promise<Readable> {
    const { signal } = options;
    const stored = storedKey(key);
    const known = this.#recall(key);
    const sealedBytes = known?.sealedBytes ?? (await this.#inner.stat(stored, { signal })).size;
    const range = sealedRange(sealedBytes, options, key);
    if (range.plainBytes === 0) return exactly([], 0, key);
    if (known !== undefined) return await this.#openStream(key, known, range, signal);
    if (range.firstChunk > 0) {
      const head = await this.#inner.get(stored, { offset: 0, length: HEAD_BYTES, signal });
      const opened = await this.#openHead(head, key, sealedBytes);
      return await this.#openStream(key, opened.known, range, signal);
    }
    // The head stands right before.
    const stream = await this.#inner.get(stored, { offset: 0, length: range.offset + range.length, signal });
    const { rest, known: found } = await this.#openHead(stream, key, sealedBytes);
    return await begun(stream, openRange(rest, { ...range, key: found.key }, key));
  }

  async #openStream(
    key: ObjectKey,
    known: Known,
    range: SealedRange,
    signal: AbortSignal | undefined,
  ): Promise<Readable> {
    const { offset, length } = range;
    const stream = await this.#inner.get(storedKey(key), { offset, length, signal });
    return await begun(stream, openRange(stream as AsyncIterable<Uint8Array>, { ...range, key: known.key }, key));
  }

  async #openHead(
    stream: Readable,
    key: ObjectKey,
    sealedBytes: number,
  ): Promise<{ readonly rest: AsyncIterable<Uint8Array>; readonly known: Known }> {
    try {
      const { head, rest } = await takeHead(stream as AsyncIterable<Uint8Array>, key);
      return { rest, known: await this.#learn(key, head, sealedBytes) };
    } catch (error) {
      stream.destroy();
      throw error;
    }
  }

  async #learn(key: ObjectKey, head: Buffer, sealedBytes: number): Promise<Known> {
    const nonce = Buffer.from(head.subarray(HEADER_BYTES));
    const known = { sealedBytes, nonce, key: await keyOf(this.#settings.keys, head, key) };
    this.#remember(key, known);
    return known;
  }

  #recall(key: ObjectKey): Known | undefined {
    const known = this.#known.get(key);
    if (known !== undefined) this.#remember(key, known);
    return known;
  }

  #remember(key: ObjectKey, known: Known): void {
    this.#known.delete(key);
    this.#known.set(key, known);
    const [oldest] = this.#known.keys();
    if (this.#known.size > REMEMBERED && oldest !== undefined) this.#known.delete(oldest);
  }
}

async function keyOf(keys: EncryptionSettings['keys'], head: Buffer, what: string): Promise<PayloadKey> {
  const { fileKey } = await keys.open(head.subarray(0, HEADER_BYTES), what);
  return payloadKey(fileKey, head.subarray(HEADER_BYTES));
}

/** A stream of the pieces, of which the first is there already: what is wrong with it is told now. */
async function begun(source: Readable, pieces: AsyncGenerator<Buffer>): Promise<Readable> {
  try {
    const first = await pieces.next();
    async function* all(): AsyncGenerator<Buffer> {
      if (first.done !== true) yield first.value;
      yield* pieces;
    }
    return endingWith(source, Readable.from(all(), { objectMode: false }));
  } catch (error) {
    source.destroy();
    throw error;
  }
}
