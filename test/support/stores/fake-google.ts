import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { type AddressInfo, connect, type Server, type Socket } from 'node:net';
import { join } from 'node:path';

/** What stands around the store: where tokens come from, a proxy on the way to Google, and files with credentials. */

interface Tls {
  readonly key: string;
  readonly cert: string;
}

async function listening<Listener extends Server>(server: Listener): Promise<Listener> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

export function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

/** Gives tokens to everybody, or the refusal that a test sets. */
export class FakeTokens {
  /** Bodies of the requests. */
  readonly asked: string[] = [];
  readonly server: http.Server;
  /** What is given to who asks. */
  token: string;
  refusal: { readonly status: number; readonly body: unknown } | 'hang' | undefined;

  static async start(token: string, tls?: Tls): Promise<FakeTokens> {
    const tokens = new FakeTokens(token, tls);
    await listening(tokens.server);
    return tokens;
  }

  private constructor(token: string, tls: Tls | undefined) {
    this.token = token;
    const serve = (request: http.IncomingMessage, response: http.ServerResponse): void => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        this.asked.push(Buffer.concat(chunks).toString());
        if (this.refusal === 'hang') return;
        const { status, body } = this.refusal ?? { status: 200, body: granted(this.token) };
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
      });
    };
    this.server = tls === undefined ? http.createServer(serve) : https.createServer(tls, serve);
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

function granted(token: string): unknown {
  const type = 'urn:ietf:params:oauth:token-type:access_token';
  return { access_token: token, expires_in: 3600, token_type: 'Bearer', issued_token_type: type };
}

/** A proxy that knows CONNECT, and knows better than the name service where a host is. */
export class FakeProxy {
  /** What was asked for, as host:port. */
  readonly asked: string[] = [];
  readonly sockets = new Set<Socket>();
  readonly #server: http.Server;
  readonly #scheme: string;

  /** @param ports of this host, by the name that is asked for @param user `name:password` of who may use it */
  static async start(ports: Readonly<Record<string, number>>, user?: string, tls?: Tls): Promise<FakeProxy> {
    const proxy = new FakeProxy(ports, user, tls);
    await listening(proxy.#server);
    return proxy;
  }

  private constructor(ports: Readonly<Record<string, number>>, user: string | undefined, tls: Tls | undefined) {
    this.#scheme = tls === undefined ? 'http' : 'https';
    this.#server = tls === undefined ? http.createServer() : https.createServer(tls);
    const wanted = user === undefined ? undefined : `Basic ${Buffer.from(user).toString('base64')}`;
    this.#server.on('connection', (socket: Socket) => this.sockets.add(socket));
    this.#server.on('connect', (request: http.IncomingMessage, client: Socket) => {
      this.asked.push(request.url ?? '');
      const port = ports[request.url ?? ''];
      if (wanted !== undefined && request.headers['proxy-authorization'] !== wanted) {
        client.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n');
      } else if (port === undefined) {
        client.end('HTTP/1.1 502 Bad Gateway\r\n\r\n');
      } else {
        const store = connect(port, '127.0.0.1', () => client.write('HTTP/1.1 200 Connection Established\r\n\r\n'));
        this.sockets.add(store);
        store.pipe(client).pipe(store);
        // Each ends with the other.
        store.on('error', () => client.destroy());
        client.on('error', () => store.destroy());
      }
    });
  }

  get url(): string {
    return `${this.#scheme}://127.0.0.1:${portOf(this.#server)}`;
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** A service account whose key nobody else has. */
export function serviceAccountFile(directory: string, lie: { readonly private_key?: string } = {}): string {
  const path = join(directory, 'service-account.json');
  const { privateKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
  const account = { type: 'service_account', client_email: 'walden@project.example', private_key: privateKey, ...lie };
  writeFileSync(path, JSON.stringify(account), { mode: 0o600 });
  return path;
}

/** A workload that has a token of its own, to be exchanged at `tokens`. */
export function workloadFile(directory: string, tokens: FakeTokens): string {
  const [path, subject] = [join(directory, 'workload.json'), join(directory, 'subject')];
  writeFileSync(subject, 'a token of the workload', { mode: 0o600 });
  const workload = {
    type: 'external_account',
    audience: '//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/provider',
    subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
    token_url: `http://127.0.0.1:${portOf(tokens.server)}/v1/token`,
    credential_source: { file: subject },
  };
  writeFileSync(path, JSON.stringify(workload), { mode: 0o600 });
  return path;
}
