import { createReadStream } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { text } from 'node:stream/consumers';
import { type ErrorDocument, ERRORS, errorFromDocument, systemErrorCode, WaldenError } from '../errors.ts';

const DEFAULT_DEADLINE_SECONDS = 60;
const ACCEPT = { accept: 'application/json' } as const;

export interface CallOptions {
  /** Default 60; the whole call, not the time between two bytes. */
  readonly deadlineSeconds?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Besides those that the call needs. */
  readonly headers?: Readonly<Record<string, string | number>>;
}

interface Call extends CallOptions {
  readonly method: 'GET' | 'POST' | 'PUT';
  readonly path: string;
  /** JSON text, or a file to upload. */
  readonly body?: string | { readonly file: string };
}

/** The service's API over its unix socket. Failures are the service's own errors, or SERVICE_UNREACHABLE. */
export class ApiClient {
  readonly #socket: string;

  constructor(socket: string) {
    this.#socket = socket;
  }

  async get<Document>(path: string, options: CallOptions = {}): Promise<Document> {
    return (await this.#json({ ...options, method: 'GET', path })) as Document;
  }

  async post<Document>(path: string, document?: object, options: CallOptions = {}): Promise<Document> {
    if (document === undefined) return (await this.#json({ ...options, method: 'POST', path })) as Document;
    const body = JSON.stringify(document);
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    return (await this.#json({ ...options, method: 'POST', path, headers, body })) as Document;
  }

  /** Sends the file as it is. */
  async upload(path: string, file: string, bytes: number, options: CallOptions = {}): Promise<void> {
    const headers = { ...options.headers, 'content-type': 'application/octet-stream', 'content-length': bytes };
    await this.#json({ ...options, method: 'PUT', path, headers, body: { file } });
  }

  async text(path: string, options: CallOptions = {}): Promise<string> {
    const call = { ...options, method: 'GET', path } as const;
    return await this.#read(call, await this.#send(call));
  }

  /** Newline-delimited JSON, one document at a time. */
  async *lines<Document>(path: string, options: CallOptions = {}): AsyncGenerator<Document> {
    const call = { ...options, method: 'GET', path } as const;
    const response = await this.#send(call);
    // Loaded here, since every command would wait for it.
    const { createInterface } = await import('node:readline');
    const lines = createInterface({ input: response, crlfDelay: Number.POSITIVE_INFINITY });
    for await (const line of lines) yield JSON.parse(line) as Document;
    if (!response.complete) throw this.#unreachable(call, new Error('the answer was cut short'));
  }

  async #json(call: Call): Promise<unknown> {
    const answer = await this.#read(call, await this.#send(call));
    return parseJson(answer, this.#socket);
  }

  async #read(call: Call, response: IncomingMessage): Promise<string> {
    try {
      return await text(response);
    } catch (cause) {
      throw this.#unreachable(call, cause);
    }
  }

  /** @returns the answer's stream when the service said yes. */
  async #send(call: Call): Promise<IncomingMessage> {
    let response: IncomingMessage;
    try {
      response = await open(this.#socket, call);
    } catch (cause) {
      throw this.#unreachable(call, cause);
    }
    const status = response.statusCode ?? 0;
    if (status >= 200 && status < 300) return response;
    throw errorOf(await this.#read(call, response), status, this.#socket);
  }

  #unreachable({ signal, deadlineSeconds = DEFAULT_DEADLINE_SECONDS }: Call, cause: unknown): WaldenError {
    if (signal?.aborted === true && signal.reason instanceof WaldenError) return signal.reason;
    const facts: Readonly<Record<string, string>> = {
      ENOENT: 'there is no such socket',
      ECONNREFUSED: 'nothing listens there',
      EACCES: 'permission denied',
      ABORT_ERR: `no answer within ${deadlineSeconds} s`,
      ECONNRESET: 'the service closed the connection',
    };
    const code = systemErrorCode(cause) ?? '';
    const fact = facts[code] ?? (cause instanceof Error ? cause.message : String(cause));
    return new WaldenError('SERVICE_UNREACHABLE', `unable to reach the service at ${this.#socket}: ${fact}`, {
      hint:
        code === 'EACCES'
          ? 'run this as the user of the service or as a member of its group'
          : ERRORS.SERVICE_UNREACHABLE.hint,
      details: { timedOut: code === 'ABORT_ERR' },
      cause,
    });
  }
}

async function open(socketPath: string, call: Call): Promise<IncomingMessage> {
  const deadline = AbortSignal.timeout((call.deadlineSeconds ?? DEFAULT_DEADLINE_SECONDS) * 1000);
  const signal = call.signal === undefined ? deadline : AbortSignal.any([deadline, call.signal]);
  const { method, path, body } = call;
  const headers = { ...ACCEPT, ...call.headers };
  return await new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, method, path, headers, signal }, resolve);
    outgoing.once('error', reject);
    if (body === undefined || typeof body === 'string') outgoing.end(body);
    else pipeline(createReadStream(body.file), outgoing).catch(reject);
  });
}

function errorOf(answer: string, status: number, socket: string): WaldenError {
  const document = parseJson(answer, socket) as Partial<ErrorDocument> | null;
  if (typeof document?.code !== 'string' || typeof document.message !== 'string') {
    return new WaldenError('INTERNAL', `the service at ${socket} answered with status ${status} and no error document`);
  }
  return errorFromDocument({
    code: document.code,
    message: document.message,
    hint: document.hint ?? '',
    details: document.details ?? {},
  });
}

function parseJson(answer: string, socket: string): unknown {
  try {
    return JSON.parse(answer);
  } catch (cause) {
    throw new WaldenError('INTERNAL', `what answers at ${socket} is not Walden`, {
      hint: 'check the key socket of the configuration',
      details: { answer: answer.slice(0, 200) },
      cause,
    });
  }
}
