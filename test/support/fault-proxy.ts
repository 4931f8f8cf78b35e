import http from 'node:http';
import https from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { pipeline, Transform } from 'node:stream';

/**
 * What happens to one request: it is answered by the proxy; the connection is reset before its body was read, after it was
 * read, after the store's answer began to come, or in the middle of that; a byte changes on the way there or back; or
 * nothing is ever answered.
 */
export type HttpFault =
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: string }
  | 'reset before the body'
  | 'reset behind the body'
  | 'answer lost'
  | 'answer cut'
  | 'request changed'
  | 'answer changed'
  | 'silence';

interface Planned {
  readonly request: RegExp;
  readonly fault: HttpFault;
  /** How many that match are let through before. */
  left: number;
  times: number;
}

/** Stands before an HTTP store on 127.0.0.1: passes on what it gets, and does to some requests what it was told to. */
export class FaultProxy {
  /** METHOD and decoded URL of each request, in the order in which they came. */
  readonly asked: string[] = [];
  /** How many faults have happened. */
  struck = 0;
  readonly #server: http.Server;
  readonly #target: number;
  // A connection for each request: what one of them did to its own does not meet the next one.
  readonly #onward = new http.Agent();
  readonly #clients = new Set<Socket>();
  readonly #plan: Planned[] = [];

  static async start(target: number, tls?: { readonly key: string; readonly cert: string }): Promise<FaultProxy> {
    const proxy = new FaultProxy(target, tls);
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  private constructor(target: number, tls: { readonly key: string; readonly cert: string } | undefined) {
    this.#target = target;
    const serve = (request: http.IncomingMessage, response: http.ServerResponse): void => {
      this.#serve(request, response);
    };
    this.#server = tls === undefined ? http.createServer(serve) : https.createServer(tls, serve);
    this.#server.on('connection', (socket: Socket) => {
      this.#clients.add(socket);
      socket.once('close', () => this.#clients.delete(socket));
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Connections of clients that are open. */
  get connections(): number {
    return this.#clients.size;
  }

  /** Does this to the `nth` request whose METHOD and decoded URL match, from now on, and to the next ones up to `times`. */
  plan(request: RegExp, fault: HttpFault, { nth = 1, times = 1 } = {}): void {
    this.#plan.push({ request, fault, left: nth - 1, times });
  }

  /** Forgets what was planned and has not happened. */
  clear(): void {
    this.#plan.length = 0;
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const client of this.#clients) client.destroy();
    this.#onward.destroy();
    await closed;
  }

  #serve(request: http.IncomingMessage, response: http.ServerResponse): void {
    // Whoever gives a request up ends its connection, which is nothing that the proxy could fail with.
    for (const end of [request, response]) end.on('error', () => undefined);
    const what = `${request.method ?? ''} ${decodeURIComponent(request.url ?? '')}`;
    this.asked.push(what);
    const fault = this.#next(what);
    if (fault !== undefined) this.struck += 1;
    if (fault === 'reset before the body') {
      request.socket.resetAndDestroy();
    } else if (fault === 'silence' || fault === 'reset behind the body' || typeof fault === 'object') {
      request.resume().once('end', () => {
        if (typeof fault === 'object') answer(response, fault);
        else if (fault === 'reset behind the body') request.socket.resetAndDestroy();
      });
    } else {
      this.#pass(request, response, fault);
    }
  }

  #next(what: string): HttpFault | undefined {
    const planned = this.#plan.find(({ request }) => request.test(what));
    if (planned === undefined) return undefined;
    if (planned.left > 0) {
      planned.left -= 1;
      return undefined;
    }
    planned.times -= 1;
    if (planned.times === 0) this.#plan.splice(this.#plan.indexOf(planned), 1);
    return planned.fault;
  }

  #pass(request: http.IncomingMessage, response: http.ServerResponse, fault: HttpFault | undefined): void {
    const { method, url: path, rawHeaders } = request;
    const onward = http.request({
      port: this.#target,
      host: '127.0.0.1',
      agent: this.#onward,
      method,
      path,
      // As they are: the client has signed them, the name of the host too.
      headers: rawHeaders,
      setHost: false,
    });
    onward.on('error', () => {
      // Swift ends its answers to HEAD as if they had bodies: behind the answer that is nobody's trouble.
      if (!response.headersSent) request.socket.destroy();
    });
    response.once('close', () => onward.destroy());
    onward.once('response', (answer) => {
      if (fault === 'answer lost') {
        answer.resume().once('end', () => request.socket.resetAndDestroy());
        return;
      }
      response.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
      response.flushHeaders();
      const middle = Math.floor(Number(answer.headers['content-length'] ?? 2) / 2);
      const way =
        fault === 'answer cut'
          ? [cutAt(middle, request.socket)]
          : fault === 'answer changed'
            ? [changedAt(middle)]
            : [];
      pipeline([answer, ...way, response], () => undefined);
    });
    const length = Number(request.headers['content-length'] ?? 0);
    pipeline(
      [request, ...(fault === 'request changed' ? [changedAt(Math.floor(length / 2))] : []), onward],
      () => undefined,
    );
  }
}

function answer(response: http.ServerResponse, { status, headers = {}, body = '' }: Exclude<HttpFault, string>): void {
  response.writeHead(status, { 'content-length': Buffer.byteLength(body), ...headers });
  response.end(body);
}

/** Lets so many bytes through, and then resets the connection. */
function cutAt(bytes: number, client: Socket): Transform {
  let left = bytes;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const whole = chunk.length < left;
      this.push(whole ? chunk : chunk.subarray(0, left));
      left -= chunk.length;
      if (whole) done();
      else setImmediate(() => client.resetAndDestroy());
    },
  });
}

/** Changes one byte. */
function changedAt(offset: number): Transform {
  let seen = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const at = offset - seen;
      seen += chunk.length;
      if (at < 0 || at >= chunk.length) {
        done(null, chunk);
        return;
      }
      const changed = Buffer.from(chunk);
      changed[at] = (changed[at] ?? 0) ^ 0xff;
      done(null, changed);
    },
  });
}
