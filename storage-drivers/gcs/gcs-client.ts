import http from 'node:http';
import https from 'node:https';
import { text } from 'node:stream/consumers';
import { storeAgent } from './gcs-agent.ts';
import { answerError, type Attempt, connectionError, failure, interrupted } from './gcs-errors.ts';
import { checkedConnection, type GcsConnection, type GcsOptions } from './gcs-options.ts';
import { GcsTokens } from './gcs-tokens.ts';

/** A connection on which nothing moves for so long is lost, in milliseconds. */
const IDLE_MS = 60_000;
const UNAUTHORIZED = 401;

export interface GcsRequest {
  readonly method: 'DELETE' | 'GET' | 'POST' | 'PUT';
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: readonly Uint8Array[];
}

export interface GcsAnswer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

/**
 * Requests of Google's JSON API, one at a time, each either answered or failed: no retries, and a signal or a lost
 * connection ends one at once. Tokens come from the SDK, the requests are Node's own, because in @google-cloud/storage 7
 * a download never ends once its connection is reset (its HTTP package loses the event), no call takes a signal or an
 * authority of its own, and uploads go through streams that buffer what is in memory already and compute checksums in
 * JavaScript.
 */
export class GcsClient {
  readonly bucket: string;
  readonly #endpoint: URL;
  readonly #agent: http.Agent;
  readonly #tokens: GcsTokens;
  readonly #billing: Readonly<Record<string, string>>;

  /** @throws CONFIG_INVALID */
  static async open(options: GcsOptions): Promise<GcsClient> {
    return new GcsClient(options, await checkedConnection(options));
  }

  private constructor(options: GcsOptions, connection: GcsConnection) {
    this.bucket = options.bucket;
    this.#endpoint = connection.endpoint;
    this.#agent = storeAgent(connection);
    this.#tokens = new GcsTokens(options, connection);
    this.#billing = options.project === undefined ? {} : { userProject: options.project };
  }

  /** Of the objects of the bucket, or of one of them. */
  objectUrl(name: string | undefined, query: Readonly<Record<string, string>> = {}): URL {
    const path = name === undefined ? '' : `/${encodeURIComponent(name)}`;
    return this.#url(`/storage/v1/b/${encodeURIComponent(this.bucket)}/o${path}`, query);
  }

  uploadUrl(query: Readonly<Record<string, string>>): URL {
    return this.#url(`/upload/storage/v1/b/${encodeURIComponent(this.bucket)}/o`, query);
  }

  /** Where an upload goes on: the store may name itself by another host than it was reached by. */
  sessionUrl(location: string): URL {
    const { pathname, search } = new URL(location, this.#endpoint);
    return new URL(`${pathname}${search}`, this.#endpoint);
  }

  /** A whole answer with one of these statuses. @throws every other one as what it means */
  async ask(request: GcsRequest, attempt: Attempt, statuses: readonly number[] = [200]): Promise<GcsAnswer> {
    const answer = await this.whole(await this.send(request, attempt), attempt);
    if (!statuses.includes(answer.status)) throw answerError(answer, attempt);
    return answer;
  }

  /** @throws as `send` */
  async whole(response: http.IncomingMessage, attempt: Attempt): Promise<GcsAnswer> {
    try {
      return { status: response.statusCode ?? 0, headers: response.headers, body: await text(response) };
    } catch (error) {
      throw connectionError(error, attempt);
    }
  }

  /**
   * An answer of any status as soon as it begins; who gets it reads it to its end or destroys it.
   * @throws STORAGE_UNAVAILABLE, STORAGE_DENIED (no token), INTERRUPTED
   */
  async send(request: GcsRequest, attempt: Attempt): Promise<http.IncomingMessage> {
    assertWanted(attempt);
    const token = await this.#tokens.headers(attempt);
    assertWanted(attempt);
    try {
      const response = await this.#exchange(request, token, attempt);
      if (response.statusCode === UNAUTHORIZED) this.#tokens.forget();
      return response;
    } catch (error) {
      throw connectionError(error, attempt);
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  #url(path: string, query: Readonly<Record<string, string>>): URL {
    const url = new URL(path, this.#endpoint);
    url.search = new URLSearchParams({ ...query, ...this.#billing }).toString();
    return url;
  }

  #exchange(
    { method, url, headers, body = [] }: GcsRequest,
    token: Readonly<Record<string, string>>,
    attempt: Attempt,
  ): Promise<http.IncomingMessage> {
    const length = body.reduce((sum, { byteLength }) => sum + byteLength, 0);
    return new Promise((resolve, reject) => {
      const request = (url.protocol === 'https:' ? https : http).request(url, {
        method,
        agent: this.#agent,
        headers: { ...headers, ...token, ...(method === 'GET' ? {} : { 'content-length': length }) },
      });
      let response: http.IncomingMessage | undefined;
      const giveUp = (): void => {
        reject(interrupted(attempt));
        (response ?? request).destroy(interrupted(attempt));
      };
      attempt.signal?.addEventListener('abort', giveUp, { once: true });
      request.once('close', () => attempt.signal?.removeEventListener('abort', giveUp));
      request.once('response', (begun) => {
        response = begun;
        // Kept by the stream for who reads it, which may begin later.
        begun.on('error', () => undefined);
        resolve(begun);
      });
      // Also behind the answer: an upload that was refused early may fail once more.
      request.on('error', reject);
      request.setTimeout(IDLE_MS);
      request.on('timeout', () => {
        // Who reads slowly keeps the connection idle himself.
        if (response !== undefined && response.readableLength >= response.readableHighWaterMark) return;
        request.destroy(failure('STORAGE_UNAVAILABLE', attempt, 'nothing was heard in time'));
      });
      for (const chunk of body) request.write(chunk);
      request.end();
    });
  }
}

function assertWanted(attempt: Attempt): void {
  if (attempt.signal?.aborted === true) throw interrupted(attempt);
}

/** The document of an answer. @throws STORAGE_UNAVAILABLE when it is none */
export function parsed({ body }: GcsAnswer, attempt: Attempt): unknown {
  try {
    return JSON.parse(body);
  } catch (cause) {
    throw failure('STORAGE_UNAVAILABLE', attempt, 'the answer is no JSON', { cause });
  }
}
