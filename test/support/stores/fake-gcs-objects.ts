import { createHash, randomUUID } from 'node:crypto';

/** What the fake store holds, and what its rules say: buckets, objects, sessions of uploads. See fake-gcs.ts. */

export interface StoredObject {
  readonly bytes: Buffer;
  readonly generation: number;
  readonly resource: Readonly<Record<string, unknown>>;
}

/** A resumable upload that has begun. */
export interface Session {
  readonly bucket: string;
  readonly name: string;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly query: URLSearchParams;
  readonly received: Buffer[];
  /** The size of what came. */
  held: number;
  finished: StoredObject | undefined;
}

/** An answer other than success. */
export class Refused extends Error {
  readonly status: number;
  readonly reason: string;

  constructor(status: number, reason: string, message: string) {
    super(message);
    this.status = status;
    this.reason = reason;
  }
}

const CHUNK_UNIT = 256 * 1024;

export class FakeObjects {
  /** A store that does not check what it was told, for those who rely on it. */
  checksHashes = true;
  readonly sessions = new Map<string, Session>();
  readonly #buckets = new Map<string, Map<string, StoredObject>>();
  #generation = 0;

  addBucket(bucket: string): void {
    this.#buckets.set(bucket, new Map());
  }

  bucket(bucket: string): Map<string, StoredObject> {
    const found = this.#buckets.get(bucket);
    if (found === undefined) throw new Refused(404, 'notFound', 'The specified bucket does not exist.');
    return found;
  }

  object(bucket: string, name: string): StoredObject {
    const found = this.bucket(bucket).get(name);
    if (found === undefined) throw new Refused(404, 'notFound', `No such object: ${bucket}/${name}`);
    return found;
  }

  /** Names in byte order from startOffset on (inclusive); a page token is the last name that was given. */
  list(bucket: string, query: URLSearchParams): Readonly<Record<string, unknown>> {
    const [prefix, start] = [query.get('prefix') ?? '', query.get('startOffset') ?? ''];
    const token = query.get('pageToken');
    const behind = token === null ? undefined : Buffer.from(token, 'base64').toString();
    const names = [...this.bucket(bucket).keys()]
      .filter((name) => name.startsWith(prefix) && name >= start && (behind === undefined || name > behind))
      .sort();
    const page = names.slice(0, Math.min(1000, Number(query.get('maxResults') ?? 1000)));
    const more = names.length > page.length ? { nextPageToken: Buffer.from(page.at(-1)!).toString('base64') } : {};
    const items = page.map((name) => this.object(bucket, name).resource);
    return { kind: 'storage#objects', ...(items.length === 0 ? {} : { items }), ...more };
  }

  remove(bucket: string, name: string, query: URLSearchParams): void {
    this.object(bucket, name);
    this.assertPreconditions(bucket, name, query);
    this.bucket(bucket).delete(name);
  }

  /** Stores bytes whose checksums are right, where the conditions hold. */
  insert(
    bucket: string,
    name: string,
    bytes: Buffer,
    metadata: Readonly<Record<string, unknown>>,
    query: URLSearchParams,
  ): StoredObject {
    this.assertPreconditions(bucket, name, query);
    const md5Hash = createHash('md5').update(bytes).digest('base64');
    if (this.checksHashes && metadata['md5Hash'] !== undefined && metadata['md5Hash'] !== md5Hash) {
      throw new Refused(400, 'invalid', `Provided MD5 hash does not match calculated MD5 hash "${md5Hash}".`);
    }
    const crc32c = crc32cOf(bytes);
    if (this.checksHashes && metadata['crc32c'] !== undefined && metadata['crc32c'] !== crc32c) {
      throw new Refused(400, 'invalid', `Provided CRC32C does not match calculated CRC32C "${crc32c}".`);
    }
    this.#generation += 1;
    const identity = { bucket, name, size: String(bytes.length), generation: String(this.#generation) };
    const resource = { ...metadata, ...identity, md5Hash, crc32c };
    const stored = { bytes, generation: this.#generation, resource };
    this.bucket(bucket).set(name, stored);
    return stored;
  }

  begin(bucket: string, name: string, metadata: Readonly<Record<string, unknown>>, query: URLSearchParams): string {
    this.assertPreconditions(bucket, name, query);
    const id = randomUUID();
    this.sessions.set(id, { bucket, name, metadata, query, received: [], held: 0, finished: undefined });
    return id;
  }

  /** Takes bytes from `from` on; the last ones finish the upload. @param range of Content-Range */
  append(session: Session, bytes: Buffer, range: string, hash: string | undefined): void {
    const [, first, last, total] = /^bytes (?:(\d+)-(\d+)|\*)\/(\d+|\*)$/.exec(range) ?? [];
    if (total === undefined) throw new Refused(400, 'badRequest', 'Failed to parse Content-Range header.');
    if (first === undefined || session.finished !== undefined) return;
    const isLast = Number(last) + 1 === Number(total);
    // What came twice is not taken twice.
    const fresh = bytes.subarray(session.held - Number(first));
    if (Number(first) > session.held) throw new Refused(503, 'backendError', 'Invalid request: a part is missing.');
    if (!isLast && bytes.length % CHUNK_UNIT !== 0) {
      throw new Refused(400, 'badRequest', 'The number of bytes uploaded is required to be a multiple of 262144.');
    }
    session.received.push(fresh);
    session.held += fresh.length;
    if (session.held === Number(total)) this.#finish(session, hash);
  }

  assertPreconditions(bucket: string, name: string, query: URLSearchParams): void {
    const wanted = query.get('ifGenerationMatch');
    const generation = this.bucket(bucket).get(name)?.generation ?? 0;
    if (wanted !== null && Number(wanted) !== generation) {
      throw new Refused(412, 'conditionNotMet', 'At least one of the pre-conditions you specified did not hold.');
    }
  }

  #finish(session: Session, hash: string | undefined): void {
    const { bucket, name, metadata, query, received } = session;
    const [, md5Hash] = /(?:^|,)md5=([^,]+)/.exec(hash ?? '') ?? [];
    const [, crc32c] = /(?:^|,)crc32c=([^,]+)/.exec(hash ?? '') ?? [];
    const checks = { ...(md5Hash === undefined ? {} : { md5Hash }), ...(crc32c === undefined ? {} : { crc32c }) };
    session.finished = this.insert(bucket, name, Buffer.concat(received), { ...metadata, ...checks }, query);
  }
}

const CRC32C_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = (value & 1) === 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
  return value;
});

/** Base64 of the big-endian checksum, as in the API's documents. */
function crc32cOf(bytes: Buffer): string {
  let crc = 0xffffffff;
  // By index: with the iterator of the buffer, a benchmark of clients showed little else.
  for (let at = 0; at < bytes.length; at += 1) crc = CRC32C_TABLE[(crc ^ bytes[at]!) & 0xff]! ^ (crc >>> 8);
  const result = Buffer.alloc(4);
  result.writeUInt32BE((crc ^ 0xffffffff) >>> 0);
  return result.toString('base64');
}
