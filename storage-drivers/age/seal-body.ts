import { createHash, type Hash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Readable } from 'node:stream';
import { localIoError, WaldenError } from '../../src/errors.ts';
import type { ObjectBody, Sha256Hex } from '../driver.ts';
import { chunked } from './chunked.ts';
import type { EncryptedFile, EncryptFileInput } from '../encrypt-file.ts';
import type { FileKey } from './header.ts';
import { NONCE_BYTES, payloadKey } from './payload.ts';
import { CHUNK_BYTES, sealChunk, type PayloadKey } from '../../src/platform/sealed-chunks.ts';

const FILE_KEY_BYTES = 16;

/** What an object is encrypted with. Each is used for one object: the chunks of two would have the same nonces. */
export interface Sealing {
  /** Header and nonce. */
  readonly head: Buffer;
  readonly key: PayloadKey;
}

export async function newSealing(seal: (fileKey: FileKey) => Promise<Buffer>): Promise<Sealing> {
  const fileKey = randomBytes(FILE_KEY_BYTES) as FileKey;
  const nonce = randomBytes(NONCE_BYTES);
  return { head: Buffer.concat([await seal(fileKey), nonce]), key: payloadKey(fileKey, nonce) };
}

/** @throws STORAGE_SIZE when the body gives other bytes than it says */
export async function sealInMemory(body: ObjectBody, sealing: Sealing, what: string): Promise<ObjectBody> {
  const pieces: Buffer[] = [];
  for await (const sealed of sealedPieces(body, sealing, what)) pieces.push(...sealed);
  const bytes = Buffer.concat(pieces);
  return {
    size: bytes.length,
    sha256: () => Promise.resolve(hexOf(createHash('sha256').update(bytes))),
    path: undefined,
    open: () => Readable.from([bytes], { objectMode: false }),
  };
}

/** @throws STORAGE_SIZE, LOCAL_IO, STORAGE_FULL */
export async function sealIntoFile(body: ObjectBody, sealing: Sealing, into: IntoFile): Promise<EncryptedFile> {
  return await writePieces(sealedPieces(body, sealing, into.what), into);
}

/** A file to be made, which the caller removes. */
export interface IntoFile extends Pick<EncryptFileInput, 'use'> {
  readonly target: string;
  /** The object, for errors. */
  readonly what: string;
}

/** @throws LOCAL_IO, STORAGE_FULL, and what `source` throws */
export async function writePieces(
  source: AsyncIterable<readonly Uint8Array[]>,
  { target, use, what }: IntoFile,
): Promise<EncryptedFile> {
  const hash = createHash('sha256');
  let bytes = 0;
  let handle: FileHandle | undefined;
  try {
    await mkdir(dirname(target), { recursive: true, mode: 0o750 });
    handle = await open(target, 'wx', 0o640);
    for await (const pieces of source) {
      for (const piece of pieces) {
        hash.update(piece);
        bytes += piece.byteLength;
        await handle.writeFile(piece);
      }
    }
    if (use === 'to link') await handle.sync();
  } catch (error) {
    throw localIoError(error, `unable to encrypt ${what} into ${target}`);
  } finally {
    await handle?.close();
  }
  return { bytes, sha256: hexOf(hash) };
}

/** A staged file that is encrypted. */
export function bodyOfEncrypted(path: string, { bytes, sha256 }: EncryptedFile): ObjectBody {
  const open = (): Readable => createReadStream(path);
  return { size: bytes, sha256: async () => sha256 ?? (await hashOf(open())), path, open };
}

async function hashOf(stream: Readable): Promise<Sha256Hex> {
  const hash = createHash('sha256');
  for await (const chunk of stream as AsyncIterable<Buffer>) hash.update(chunk);
  return hexOf(hash);
}

/** The whole object, the head first. */
async function* sealedPieces(
  body: ObjectBody,
  { head, key }: Sealing,
  what: string,
): AsyncGenerator<readonly Buffer[], void, undefined> {
  yield [head];
  const hash = createHash('sha256');
  let bytes = 0;
  let number = 0;
  for await (const { piece, isLast } of chunked(body.open() as AsyncIterable<Uint8Array>, CHUNK_BYTES)) {
    hash.update(piece);
    bytes += piece.byteLength;
    yield sealChunk(key, piece, { number, isLast });
    number += 1;
  }
  if (bytes !== body.size || hexOf(hash) !== (await body.sha256())) {
    throw new WaldenError('STORAGE_SIZE', `the body of ${what} gave other bytes than it promised`);
  }
}

function hexOf(hash: Hash): Sha256Hex {
  return hash.digest('hex') as Sha256Hex;
}
