import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isWaldenError, toWaldenError, type WaldenError } from '../../src/errors.ts';
import { inParallel } from '../../src/platform/in-parallel.ts';
import type { ObjectInfo, ObjectKey, StorageDriver } from '../driver.ts';
import { chunked } from './chunked.ts';
import { HEADER_BYTES, recipientSet } from './header.ts';
import type { KeyRing } from './key-ring.ts';
import { SUFFIX } from './logical-list.ts';
import { HEAD_BYTES, payloadKey } from './payload.ts';
import { SEALED_CHUNK_BYTES, openChunk } from '../../src/platform/sealed-chunks.ts';
import { bodyOfEncrypted, writePieces } from './seal-body.ts';
import { takeHead } from './take-head.ts';

export interface RewrapSettings {
  readonly keys: KeyRing;
  readonly stagingDirectory: string;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: RewrapProgress) => void;
}

export interface RewrapProgress {
  readonly objects: number;
  readonly bytes: number;
  readonly doneBytes: number;
  readonly doneObjects: number;
}

export interface RewrapOutcome {
  readonly rewrapped: number;
  /** Their headers were made for the present recipients already. */
  readonly kept: number;
  /** What could not be opened: it stands as it was. */
  readonly failures: readonly { readonly key: string; readonly error: WaldenError }[];
}

const CONCURRENCY = 4;

/**
 * Gives every encrypted object of a store a header for the present recipients; what follows the header stays as it is, so that
 * whoever reads an object meanwhile goes on undisturbed. An object is read to its end, and each byte of it decrypted, before
 * it is replaced, in one step. What is done is known by its header: begun again after a crash, it goes on.
 *
 * @param store with the objects as they stand in it (`beneath`)
 * @throws STORAGE_DENIED and the codes of a store out of reach, KEY_MISSING (there is no current key), INTERRUPTED
 */
export async function rewrapObjects(store: StorageDriver, settings: RewrapSettings): Promise<RewrapOutcome> {
  const { keys, signal, onProgress } = settings;
  const recipients = await keys.recipients();
  const progress = { objects: 0, bytes: 0, doneObjects: 0, doneBytes: 0 };
  for await (const { size } of encryptedObjects(store, signal)) {
    progress.objects += 1;
    progress.bytes += size;
  }
  const outcome = { rewrapped: 0, kept: 0, failures: [] as { key: string; error: WaldenError }[] };
  await inParallel(encryptedObjects(store, signal), CONCURRENCY, async ({ key, size }) => {
    signal.throwIfAborted();
    try {
      if (await rewrapObject(store, key, recipients, settings)) outcome.rewrapped += 1;
      else outcome.kept += 1;
    } catch (error) {
      // One damaged object must not keep the others from it.
      if (!isWaldenError(error, 'CHECKSUM_MISMATCH', 'KEY_MISSING')) throw error;
      outcome.failures.push({ key, error: toWaldenError(error) });
    }
    progress.doneObjects += 1;
    progress.doneBytes += size;
    onProgress(progress);
  });
  return outcome;
}

async function* encryptedObjects(store: StorageDriver, signal: AbortSignal): AsyncGenerator<ObjectInfo> {
  for await (const info of store.list('', { signal })) if (info.key.endsWith(SUFFIX)) yield info;
}

/** Whether there was something to do. */
async function rewrapObject(
  store: StorageDriver,
  key: ObjectKey,
  recipients: readonly string[],
  settings: RewrapSettings,
): Promise<boolean> {
  const { keys, signal, stagingDirectory } = settings;
  try {
    const head = await headOf(store, key, signal);
    const { fileKey, set } = await keys.open(head.subarray(0, HEADER_BYTES), key);
    if (set === recipientSet(fileKey, recipients)) return false;
    const header = await keys.seal(fileKey);
    const ownDirectory = store.features.stagingDirectory;
    const target = join(ownDirectory ?? stagingDirectory, `${randomUUID()}.age`);
    const use = ownDirectory === undefined ? 'to send' : 'to link';
    try {
      const nonce = head.subarray(HEADER_BYTES);
      const pieces = rewrapped(store, key, { header, nonce, key: payloadKey(fileKey, nonce), signal });
      const made = await writePieces(pieces, { target, use, what: key });
      // Removed meanwhile, it must not come back; so late as this, hardly anything comes between.
      await store.stat(key, { signal });
      await store.put(key, bodyOfEncrypted(target, made), { ifExists: 'replace', signal });
      return true;
    } finally {
      await rm(target, { force: true });
    }
  } catch (error) {
    if (isWaldenError(error, 'STORAGE_OBJECT_MISSING')) return false;
    throw error;
  }
}

async function headOf(store: StorageDriver, key: ObjectKey, signal: AbortSignal): Promise<Buffer> {
  const stream = await store.get(key, { offset: 0, length: HEAD_BYTES, signal });
  return (await takeHead(stream as AsyncIterable<Uint8Array>, key)).head;
}

/** The new header, and what followed the old one, proven to be whole. */
async function* rewrapped(
  store: StorageDriver,
  object: ObjectKey,
  wanted: {
    readonly header: Buffer;
    readonly nonce: Buffer;
    readonly key: ReturnType<typeof payloadKey>;
    readonly signal: AbortSignal;
  },
): AsyncGenerator<readonly Uint8Array[], void, undefined> {
  const { header, nonce, key, signal } = wanted;
  yield [header, nonce];
  const stream = await store.get(object, { signal });
  const { rest } = await takeHead(stream as AsyncIterable<Uint8Array>, object);
  let number = 0;
  for await (const { piece, isLast } of chunked(rest, SEALED_CHUNK_BYTES)) {
    openChunk(key, piece, { number, isLast }, object);
    number += 1;
    yield [piece];
  }
}
