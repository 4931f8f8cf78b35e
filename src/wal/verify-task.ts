import { createHash } from 'node:crypto';
import { closeSync, constants, openSync, unlinkSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { localIoError, WaldenError } from '../errors.ts';
import type { Sha256Hex } from '../../storage-drivers/driver.ts';
import { type ByteSource, readBytes } from '../platform/byte-source.ts';
import { workerTask } from '../platform/worker-pool.ts';
import type { SystemIdentifier } from '../postgres/lsn.ts';
import type { WalFileName } from '../postgres/wal-name.ts';
import { StreamDecompressor } from '../repository/codec.ts';
import { decodeWalObjectHeader, WAL_HEADER_BYTES, type WalObjectHeader } from '../repository/wal-object.ts';

/** On a worker: opens a stored WAL object, checks every byte against its head, and writes the plain file if asked to. */
export const verifyTask = workerTask<VerifyInput, VerifyOutput>('verifyWalObject');

export interface VerifyInput {
  /** The object's. */
  readonly bytes: ByteSource;
  readonly name: WalFileName;
  readonly systemIdentifier: SystemIdentifier;
  /** A file to be made with the plain bytes; it is not fsynced: see the spool. */
  readonly target: string | undefined;
}

export interface VerifyOutput {
  readonly sha256: Sha256Hex;
  readonly plainBytes: number;
}

/** @throws FORMAT_INVALID, CHECKSUM_MISMATCH, SERVER_MISMATCH, LOCAL_IO, STORAGE_FULL (the target), and what the sender's
 * source throws. No file is left then. */
export async function verifyWalObject(input: VerifyInput): Promise<VerifyOutput> {
  const { target } = input;
  if (target === undefined) return await verify(input, () => undefined);
  const descriptor = onDisk(input, () =>
    openSync(target, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o640),
  );
  try {
    return await verify(input, (piece) => {
      onDisk(input, () => {
        for (let done = 0; done < piece.length;) done += writeSync(descriptor, piece, done);
      });
    });
  } catch (error) {
    onDisk(input, () => {
      unlinkSync(target);
    });
    throw error;
  } finally {
    closeSync(descriptor);
  }
}

function onDisk<Result>({ name, target = '' }: VerifyInput, work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    throw localIoError(error, `unable to write ${name} to ${dirname(target)}`);
  }
}

async function verify(input: VerifyInput, write: (piece: Uint8Array) => void): Promise<VerifyOutput> {
  const what = `the stored object of ${input.name}`;
  const hash = createHash('sha256');
  let plainBytes = 0;
  const take = (pieces: Iterable<Uint8Array>): void => {
    for (const piece of pieces) {
      hash.update(piece);
      plainBytes += piece.length;
      write(piece);
    }
  };
  let head = Buffer.alloc(0);
  let opened: { readonly header: WalObjectHeader; readonly decompressor: StreamDecompressor } | undefined;
  for await (const chunk of readBytes(input.bytes)) {
    if (opened !== undefined) {
      take(opened.decompressor.feed(chunk));
      continue;
    }
    head = Buffer.concat([head, chunk]);
    if (head.length < WAL_HEADER_BYTES) continue;
    const header = decodeWalObjectHeader(head, what);
    opened = { header, decompressor: new StreamDecompressor(what, header.plainBytes) };
    take(opened.decompressor.feed(head));
  }
  // Without a whole head this throws.
  const header = opened?.header ?? decodeWalObjectHeader(head, what);
  opened?.decompressor.finish();
  const sha256 = hash.digest('hex') as Sha256Hex;
  assertIsWhatIsNamed(input, header, { sha256, plainBytes });
  return { sha256, plainBytes };
}

function assertIsWhatIsNamed(input: VerifyInput, header: WalObjectHeader, found: VerifyOutput): void {
  if (header.file.name !== input.name) {
    throw new WaldenError('CHECKSUM_MISMATCH', `the stored object of ${input.name} holds ${header.file.name}`);
  }
  if (header.identity.systemIdentifier !== input.systemIdentifier) {
    throw new WaldenError(
      'SERVER_MISMATCH',
      `the stored object of ${input.name} belongs to system identifier ${header.identity.systemIdentifier}, not ${input.systemIdentifier}`,
    );
  }
  if (header.sha256 !== found.sha256 || header.plainBytes !== found.plainBytes) {
    throw new WaldenError('CHECKSUM_MISMATCH', `the stored object of ${input.name} is not what was archived`, {
      details: { expected: header.sha256, found: found.sha256 },
    });
  }
}
