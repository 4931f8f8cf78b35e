import { randomUUID } from 'node:crypto';
import type { WaldenError } from '../../src/errors.ts';
import { retry, type RetryPolicy } from '../retry.ts';
import { base64Of } from '../upload/digests.ts';
import type { Part, Piece } from '../upload/upload.ts';
import { type GcsAnswer, type GcsClient, parsed } from './gcs-client.ts';
import { type Attempt, failure, member } from './gcs-errors.ts';

/** An object to make: its name, what the store is told beside its bytes, and whether only where there is none. */
export interface NewObject {
  readonly name: string;
  readonly size: number;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly query: Readonly<Record<string, string>>;
}

/** What is asked about an object that was made. */
const FIELDS = 'generation,crc32c,size';
const CONTENT_TYPE = 'application/octet-stream';
const JSON_TYPE = 'application/json; charset=UTF-8';
const PART_RETRIES: RetryPolicy = { retries: 4, firstWaitMs: 200, longestWaitMs: 5_000 };
const CANCEL_MS = 10_000;
const INCOMPLETE = 308;
/** The store's answer to a session that was cancelled. */
const CANCELLED = 499;
const SESSION_ENDED = [404, 410];
const NOTHING = Buffer.alloc(0);

/** In one request, whose CRC-32C the store checks before it shows the object. */
export async function uploadWhole(
  client: GcsClient,
  object: NewObject,
  { bytes, digests }: Piece,
  attempt: Attempt,
): Promise<void> {
  const crc32c = base64Of(digests, 'crc32c');
  const boundary = randomUUID();
  const metadata = JSON.stringify({ ...object.metadata, name: object.name, contentType: CONTENT_TYPE, crc32c });
  const head =
    `--${boundary}\r\ncontent-type: ${JSON_TYPE}\r\n\r\n${metadata}\r\n` +
    `--${boundary}\r\ncontent-type: ${CONTENT_TYPE}\r\n\r\n`;
  await client.ask(
    {
      method: 'POST',
      url: client.uploadUrl({ ...object.query, uploadType: 'multipart', fields: FIELDS }),
      headers: { 'content-type': `multipart/related; boundary=${boundary}` },
      body: [Buffer.from(head), bytes(), Buffer.from(`\r\n--${boundary}--\r\n`)],
    },
    attempt,
  );
}

/**
 * A resumable upload: parts one behind the other, into a session that shows nothing before its last byte came and the CRC-32C
 * of the whole was right (an MD5 takes five times as long). After a failure the store is asked how far it came, so that an
 * answer that was lost does not send anything twice, or takes the object that is there already for somebody else's.
 */
export class ResumableUpload {
  readonly #client: GcsClient;
  readonly #attempt: Attempt;
  readonly #name: string;
  readonly #size: number;
  /** Whoever knows it may write to the session: it is in no message. */
  readonly #session: URL;
  #turn: Promise<void> = Promise.resolve();

  static async begin(client: GcsClient, object: NewObject, attempt: Attempt): Promise<ResumableUpload> {
    const { headers } = await client.ask(
      {
        method: 'POST',
        url: client.uploadUrl({ ...object.query, uploadType: 'resumable', name: object.name, fields: FIELDS }),
        headers: {
          'content-type': JSON_TYPE,
          'x-upload-content-type': CONTENT_TYPE,
          'x-upload-content-length': String(object.size),
        },
        body: [Buffer.from(JSON.stringify({ ...object.metadata, contentType: CONTENT_TYPE }))],
      },
      attempt,
    );
    if (headers.location === undefined) {
      throw failure('STORAGE_UNAVAILABLE', attempt, 'the store named no session for the upload');
    }
    return new ResumableUpload(client, object, client.sessionUrl(headers.location), attempt);
  }

  private constructor(client: GcsClient, { name, size }: NewObject, session: URL, attempt: Attempt) {
    this.#client = client;
    this.#name = name;
    this.#size = size;
    this.#session = session;
    this.#attempt = attempt;
  }

  /** The next part, when those before it are there: while one is on its way, the next one can be read. */
  async send(part: Part): Promise<void> {
    this.#turn = this.#turn.then(() => this.#send(part));
    await this.#turn;
  }

  /** Best effort: what is left ends by itself after a week, and was never visible. */
  async cancel(): Promise<void> {
    const attempt = { ...this.#attempt, signal: AbortSignal.timeout(CANCEL_MS) };
    await this.#client
      .ask({ method: 'DELETE', url: this.#session }, attempt, [CANCELLED, 204, ...SESSION_ENDED])
      .catch(() => undefined);
  }

  async #send(part: Part): Promise<void> {
    const crc32c = part.isLast ? base64Of(part.whole, 'crc32c') : undefined;
    let begun = false;
    await retry(
      async () => {
        const from = begun ? await this.#put(NOTHING, 0, crc32c) : part.offset;
        begun = true;
        await this.#sendFrom(from, part, crc32c);
      },
      PART_RETRIES,
      { signal: this.#attempt.signal },
    );
  }

  /** The store may keep less of a part than it was sent: the rest follows. */
  async #sendFrom(from: number | 'complete', part: Part, crc32c: string | undefined): Promise<void> {
    const end = part.offset + part.length;
    for (let at = from; at !== 'complete';) {
      if (at === end && !part.isLast) return;
      if (at < part.offset || at > end) throw this.#failure(`the store holds ${at} bytes of it`);
      const next = await this.#put(part.bytes().subarray(at - part.offset), at, crc32c);
      if (next === at) throw this.#failure(`the store stays at ${at} bytes`);
      at = next;
    }
    if (!part.isLast) throw this.#failure('the store takes a part of it for the whole');
  }

  /** How far the store came; without bytes, only asks. @param crc32c of the whole, with its last part */
  async #put(bytes: Uint8Array, at: number, crc32c: string | undefined): Promise<number | 'complete'> {
    const range = bytes.length === 0 ? '*' : `${at}-${at + bytes.length - 1}`;
    const answer = await this.#client.ask(
      {
        method: 'PUT',
        url: this.#session,
        headers: {
          'content-range': `bytes ${range}/${this.#size}`,
          ...(crc32c === undefined ? {} : { 'x-goog-hash': `crc32c=${crc32c}` }),
        },
        body: [bytes],
      },
      this.#attempt,
      [200, 201, INCOMPLETE, ...SESSION_ENDED],
    );
    if (SESSION_ENDED.includes(answer.status)) throw this.#failure('the store ended the session of the upload');
    if (answer.status === INCOMPLETE) return bytesHeld(answer);
    if (crc32c !== undefined) await this.#assertWhole(answer, crc32c);
    return 'complete';
  }

  /** The store was told it, and so should not have got here with other bytes: then they are taken away again. */
  async #assertWhole(answer: GcsAnswer, crc32c: string): Promise<void> {
    const made = parsed(answer, this.#attempt);
    const [stored, generation] = [member(made, 'crc32c'), member(made, 'generation')];
    if (stored === crc32c || typeof stored !== 'string') return;
    const url = this.#client.objectUrl(this.#name, { ifGenerationMatch: String(generation) });
    // Another generation, or none, is not what came here.
    await this.#client.ask({ method: 'DELETE', url }, this.#attempt, [204, 404, 412]);
    throw this.#failure(`the store has other bytes: CRC-32C ${stored} instead of ${crc32c}`);
  }

  #failure(fact: string): WaldenError {
    return failure('STORAGE_UNAVAILABLE', this.#attempt, fact);
  }
}

/** Without a range the store holds nothing yet. */
function bytesHeld({ headers }: GcsAnswer): number {
  const [, last] = /^bytes=0-(\d+)$/.exec(headers.range ?? '') ?? [];
  return last === undefined ? 0 : Number(last) + 1;
}
