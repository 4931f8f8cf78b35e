import { randomUUID } from 'node:crypto';
import { WaldenError } from '../../src/errors.ts';
import type { ObjectBody } from '../driver.ts';
import { retry, type RetryPolicy } from '../retry.ts';
import { sendInParts } from '../upload/upload.ts';
import type { UploadMemory } from '../upload/upload-memory.ts';
import type { S3Call } from './s3-bucket.ts';
import { lockVersion } from './s3-lock.ts';
import { digestsFor, type S3Found, type S3Put, type S3Requests, type S3Upload } from './s3-requests.ts';

const MEBIBYTE = 1024 ** 2;
/** S3's limit for one upload. */
const MAX_PARTS = 10_000;
const CONCURRENT_PARTS = 4;
/** Of one request, whose loss must not cost the other parts. */
export const REQUEST_RETRIES: RetryPolicy = { retries: 4, firstWaitMs: 200, longestWaitMs: 5_000 };
const GIVE_UP_DEADLINE_MS = 10_000;

/** Parts of whole MiB, no smaller than `least` and so large that the body needs no more parts than S3 takes. */
export function partSize(bodyBytes: number, least: number): number {
  const needed = Math.ceil(bodyBytes / MAX_PARTS / MEBIBYTE) * MEBIBYTE;
  return Math.max(least, needed);
}

/** `onlyNew`: fails with STORAGE_OBJECT_EXISTS where an object is in its place afterwards that another upload made. */
export interface MultipartOptions extends S3Call, S3Put {
  readonly memory: UploadMemory;
  readonly partBytes: number;
  /** Whether the store takes a condition. Some that do ignore it here. */
  readonly conditional: boolean;
}

/** Stores a body under a name as one object, which nobody sees before it is whole. */
export async function putInParts(
  requests: S3Requests,
  name: string,
  body: ObjectBody,
  { memory, partBytes, onlyNew, conditional, retention, ...call }: MultipartOptions,
): Promise<void> {
  const mark = randomUUID();
  const upload = await requests.beginUpload(name, { mark, retention, ...call });
  try {
    const tags: string[] = [];
    const sizes = { partBytes: partSize(body.size, partBytes), concurrency: CONCURRENT_PARTS };
    const digests = digestsFor(retention);
    await sendInParts(body, { memory, signal: call.signal, ...sizes, digests }, async (part) => {
      tags[part.number - 1] = await retry(() => requests.uploadPart(upload, part, call), REQUEST_RETRIES, call);
    });
    const completion = { ...call, onlyNew: onlyNew && conditional };
    await retry(() => complete(requests, upload, tags, mark, completion), REQUEST_RETRIES, call);
  } catch (error) {
    await giveUp(requests, upload, call);
    throw error;
  }
  if (!onlyNew && retention === undefined) return;
  const found = await retry(() => requests.head(name, call), REQUEST_RETRIES, call);
  if (onlyNew) assertOurs(found, mark, body.size, call);
  // Ceph 16 forgets the lock of what went up in parts.
  if (retention === undefined || found?.mark !== mark || found.until !== undefined) return;
  const version = { name, versionId: found.versionId };
  await retry(() => lockVersion(requests.bucket, version, retention, call), REQUEST_RETRIES, call);
}

/** An answer that is lost, or that is about what an earlier attempt did unheard, is settled by looking. */
async function complete(
  requests: S3Requests,
  upload: S3Upload,
  tags: readonly string[],
  mark: string,
  call: S3Call & { readonly onlyNew: boolean },
): Promise<void> {
  try {
    await requests.completeUpload(upload, tags, call);
  } catch (error) {
    if (call.signal?.aborted === true) throw error;
    const found = await requests.head(upload.name, call);
    if (found?.mark !== mark) throw error;
  }
}

/** Stores that ignore the condition let the last one win: the others must not believe that their object is stored. */
function assertOurs(found: S3Found | undefined, mark: string, size: number, call: S3Call): void {
  if (found?.mark === mark && found.size === size) return;
  const fact = found === undefined ? 'it is not there' : 'another object is there';
  throw new WaldenError(
    found === undefined || found.mark === mark ? 'STORAGE_UNAVAILABLE' : 'STORAGE_OBJECT_EXISTS',
    `unable to ${call.attempted}: after its upload ${fact}`,
  );
}

async function giveUp(requests: S3Requests, upload: S3Upload, { attempted }: S3Call): Promise<void> {
  const signal = AbortSignal.timeout(GIVE_UP_DEADLINE_MS);
  await requests.abortUpload(upload, { attempted: `give up to ${attempted}`, signal }).catch(() => {
    // Nobody sees the parts that stay behind; sweepUploads finds them, and why the upload failed matters more.
  });
}
