import http from 'node:http';
import https from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { FakeObjects, Refused, type Session, type StoredObject } from './fake-gcs-objects.ts';

/**
 * A store that speaks the JSON API of Google Cloud Storage, in this process: uploads in one request (simple and
 * multipart/related) and resumable ones (308 and Range, chunks, status, cancel), ifGenerationMatch, MD5 and CRC32C checked,
 * ranges, listings in pages, bearer tokens, TLS.
 *
 * It encodes what Google documents, as far as Walden uses it; it is not the service, and what passes here may fail there.
 * test/live/gcs.test.ts runs the same contract against a real bucket.
 */

/** What a request is for. */
export type Errand = 'whole' | 'begin' | 'chunk' | 'status' | 'cancel' | 'media' | 'stat' | 'list' | 'remove';

/**
 * What goes wrong with one request: it is refused with a status; the connection is reset before anything happened, after
 * it happened, in the middle of the answer's body, or when half of a chunk was kept; one byte changes on its way; or
 * nothing is ever answered.
 */
export type Fault = number | 'reset' | 'lost-answer' | 'cut-answer' | 'half-kept' | 'flip' | 'hang';

export interface FakeGcsOptions {
  readonly tls?: { readonly key: string; readonly cert: string };
  /** The only token that is let in; without it nobody is asked for one. */
  readonly token?: string;
}

interface Request {
  readonly errand: Errand;
  readonly bucket: string;
  readonly name: string;
  readonly query: URLSearchParams;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
}

interface Answer {
  readonly status: number;
  readonly headers?: http.OutgoingHttpHeaders;
  readonly body?: Buffer;
}

const CHUNK_UNIT = 256 * 1024;

export class FakeGcs {
  readonly objects = new FakeObjects();
  /** Everything that was asked, in its order. */
  readonly asked: Errand[] = [];
  readonly queries: URLSearchParams[] = [];
  readonly sockets = new Set<Socket>();
  /** As a cache in between may do. */
  ignoreRanges = false;
  readonly #server: http.Server;
  readonly #options: FakeGcsOptions;
  readonly #faults: { readonly errand: Errand; readonly fault: Fault }[] = [];

  static async start(options: FakeGcsOptions = {}): Promise<FakeGcs> {
    const fake = new FakeGcs(options);
    await new Promise<void>((resolve) => fake.#server.listen(0, '127.0.0.1', resolve));
    return fake;
  }

  private constructor(options: FakeGcsOptions) {
    this.#options = options;
    const serve = (request: http.IncomingMessage, response: http.ServerResponse): void => {
      // A client that went away in the middle is what some tests are about.
      this.#serve(request, response).catch(() => request.socket.destroy());
    };
    this.#server = options.tls === undefined ? http.createServer(serve) : https.createServer(options.tls, serve);
    this.#server.on('connection', (socket: Socket) => {
      this.sockets.add(socket);
      socket.once('close', () => this.sockets.delete(socket));
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `${this.#options.tls === undefined ? 'http' : 'https'}://127.0.0.1:${this.port}`;
  }

  /** The next requests of this kind go wrong. */
  failNext(errand: Errand, ...faults: readonly Fault[]): void {
    this.#faults.push(...faults.map((fault) => ({ errand, fault })));
  }

  countOf(errand: Errand): number {
    return this.asked.filter((asked) => asked === errand).length;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(message: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of message) chunks.push(chunk as Buffer);
    const request = requestOf(message, Buffer.concat(chunks));
    this.asked.push(request.errand);
    this.queries.push(request.query);
    const fault = this.#faultOf(request.errand);
    if (fault === 'hang') return;
    if (fault === 'reset') {
      message.socket.resetAndDestroy();
      return;
    }
    if (fault === 'flip') flip(request.body);
    const answer = this.#answered(request, fault);
    if (fault === 'lost-answer' || fault === 'half-kept') {
      message.socket.resetAndDestroy();
      return;
    }
    const { status, headers = {}, body = Buffer.alloc(0) } = answer;
    response.writeHead(status, { 'content-length': body.length, ...headers });
    if (fault !== 'cut-answer') {
      response.end(body);
      return;
    }
    response.write(body.subarray(0, Math.floor(body.length / 2)), () => message.socket.resetAndDestroy());
  }

  #faultOf(errand: Errand): Fault | undefined {
    const at = this.#faults.findIndex((one) => one.errand === errand);
    return at < 0 ? undefined : this.#faults.splice(at, 1)[0]?.fault;
  }

  #answered(request: Request, fault: Fault | undefined): Answer {
    try {
      if (typeof fault === 'number') throw new Refused(fault, 'backendError', 'We encountered an internal error.');
      this.#assertAllowed(request);
      return this.#answer(request, fault === 'half-kept');
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      const { status, reason, message } = error;
      // Where bytes were asked for, the service explains itself in plain text.
      if (request.errand === 'media') return { status, body: Buffer.from(message) };
      return json({ error: { code: status, message, errors: [{ domain: 'global', reason, message }] } }, status);
    }
  }

  #assertAllowed({ headers }: Request): void {
    const { token } = this.#options;
    if (token === undefined || headers.authorization === `Bearer ${token}`) return;
    throw new Refused(401, headers.authorization === undefined ? 'required' : 'authError', 'Invalid Credentials');
  }

  #answer(request: Request, halfKept: boolean): Answer {
    const { errand, bucket, name, query, headers, body } = request;
    switch (errand) {
      case 'whole':
        return this.#insert(request);
      case 'begin': {
        const id = this.objects.begin(bucket, name, document(body), query);
        const location = `${this.url}/upload/storage/v1/b/${bucket}/o?uploadType=resumable&upload_id=${id}`;
        return { status: 200, headers: { location } };
      }
      case 'chunk':
      case 'status': {
        const kept = halfKept ? body.subarray(0, Math.floor(body.length / 2 / CHUNK_UNIT) * CHUNK_UNIT) : body;
        const hash = headers['x-goog-hash'];
        const session = this.#session(query);
        this.objects.append(session, kept, headers['content-range'] ?? '', typeof hash === 'string' ? hash : undefined);
        return progress(session);
      }
      case 'cancel':
        this.#session(query);
        this.objects.sessions.delete(query.get('upload_id') ?? '');
        return { status: 499 };
      case 'media':
        return media(this.objects.object(bucket, name), this.ignoreRanges ? undefined : headers.range);
      case 'stat':
        return json(this.objects.object(bucket, name).resource);
      case 'list':
        return json(this.objects.list(bucket, query));
      case 'remove':
        this.objects.remove(bucket, name, query);
        return { status: 204 };
    }
  }

  #session(query: URLSearchParams): Session {
    const session = this.objects.sessions.get(query.get('upload_id') ?? '');
    if (session === undefined) throw new Refused(404, 'notFound', 'Not Found');
    return session;
  }

  /** uploadType=media brings the bytes, uploadType=multipart a document before them. */
  #insert({ bucket, name, query, headers, body }: Request): Answer {
    if (query.get('uploadType') === 'media') return json(this.objects.insert(bucket, name, body, {}, query).resource);
    const [, boundary] = /boundary=(.+)$/.exec(headers['content-type'] ?? '') ?? [];
    const mark = `--${boundary ?? ''}`;
    const [second, end] = [body.indexOf(`\r\n${mark}\r\n`), body.lastIndexOf(`\r\n${mark}--`)];
    if (boundary === undefined || second < 0 || end < 0)
      throw new Refused(400, 'badContent', 'Malformed multipart body.');
    const metadata = document(contentOf(body.subarray(0, second)));
    const bytes = contentOf(body.subarray(second + 2, end));
    const inDocument = metadata['name'];
    const named = typeof inDocument === 'string' ? inDocument : name;
    return json(this.objects.insert(bucket, named, bytes, metadata, query).resource);
  }
}

function requestOf({ method, url = '/', headers }: http.IncomingMessage, body: Buffer): Request {
  const { pathname, searchParams: query } = new URL(url, 'http://fake');
  const [, upload, bucket, object] = /^(\/upload)?\/storage\/v1\/b\/([^/]+)\/o(?:\/(.+))?$/.exec(pathname) ?? [];
  if (bucket === undefined) throw new Error(`the fake knows no ${pathname}`);
  const isUpload = upload !== undefined;
  return {
    errand: errandOf(method ?? '', isUpload, object !== undefined, query, headers),
    bucket: decodeURIComponent(bucket),
    name: isUpload ? (query.get('name') ?? '') : decodeURIComponent(object ?? ''),
    query,
    headers,
    body,
  };
}

function errandOf(
  method: string,
  isUpload: boolean,
  namesObject: boolean,
  query: URLSearchParams,
  headers: http.IncomingHttpHeaders,
): Errand {
  if (isUpload && method === 'POST') return query.get('uploadType') === 'resumable' ? 'begin' : 'whole';
  if (isUpload && method === 'PUT')
    return headers['content-range']?.startsWith('bytes */') === true ? 'status' : 'chunk';
  if (isUpload) return 'cancel';
  if (method === 'DELETE') return 'remove';
  if (!namesObject) return 'list';
  return query.get('alt') === 'media' ? 'media' : 'stat';
}

/** In the middle of the bytes, far from what frames them. */
function flip(body: Buffer): void {
  const at = body.length - 50;
  body[at] = (body[at] ?? 0) ^ 0xff;
}

/** What follows the headers of a part of a multipart body. */
function contentOf(part: Buffer): Buffer {
  return part.subarray(part.indexOf('\r\n\r\n') + 4);
}

function document(body: Buffer): Readonly<Record<string, unknown>> {
  return JSON.parse(body.toString() || '{}') as Readonly<Record<string, unknown>>;
}

function json(value: unknown, status = 200): Answer {
  return { status, headers: { 'content-type': 'application/json' }, body: Buffer.from(JSON.stringify(value)) };
}

function progress({ held, finished }: Session): Answer {
  if (finished !== undefined) return json(finished.resource);
  return { status: 308, headers: held === 0 ? {} : { range: `bytes=0-${held - 1}` } };
}

function media({ bytes }: StoredObject, range: string | undefined): Answer {
  if (range === undefined) return { status: 200, body: bytes };
  const [, first = '0', last = ''] = /^bytes=(\d+)-(\d*)$/.exec(range) ?? [];
  const [start, end] = [Number(first), last === '' ? bytes.length : Math.min(Number(last) + 1, bytes.length)];
  if (start >= bytes.length) throw new Refused(416, 'requestedRangeNotSatisfiable', 'Request range not satisfiable');
  const headers = { 'content-range': `bytes ${start}-${end - 1}/${bytes.length}` };
  return { status: 206, headers, body: bytes.subarray(start, end) };
}
