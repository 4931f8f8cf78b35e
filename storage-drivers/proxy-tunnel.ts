import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Socket } from 'node:net';
import type { TlsOptions } from 'node:tls';

/** What an HTTP proxy says instead of giving a tunnel. */
export class ProxyRefusal extends Error {
  override readonly name = 'ProxyRefusal';
  /** HTTP's. */
  readonly status: number;
  /** For whoever passes on no more of an error: `PROXY_407`. */
  readonly code: string;

  constructor(status: number) {
    super(`the proxy answered ${status}`);
    this.status = status;
    this.code = `PROXY_${status}`;
  }
}

/**
 * A connection through a proxy, which only passes on what goes through it (CONNECT: RFC 9110, 9.3.6).
 * @param proxy with a name and a password where it wants them; they are in no error
 * @param target `host:port`
 * @throws ProxyRefusal, an error with the code ETIMEDOUT, or what the system says
 */
export async function openTunnel(
  proxy: URL,
  target: string,
  { ca, timeoutMs }: { readonly ca?: TlsOptions['ca'] | undefined; readonly timeoutMs: number },
): Promise<Socket> {
  const { protocol, hostname, port, username, password } = proxy;
  const login = Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64');
  const request = (protocol === 'https:' ? httpsRequest : httpRequest)({
    method: 'CONNECT',
    host: hostname.replace(/^\[(.*)\]$/, '$1'),
    ...(port === '' ? {} : { port }),
    path: target,
    headers: { host: target, ...(username === '' ? {} : { 'proxy-authorization': `Basic ${login}` }) },
    agent: false,
    timeout: timeoutMs,
    ...(ca === undefined ? {} : { ca }),
  });
  return await new Promise((resolve, reject) => {
    request
      .once('connect', ({ statusCode = 0 }, socket: Socket) => {
        socket.setTimeout(0);
        if (statusCode === 200) {
          resolve(socket);
          return;
        }
        socket.destroy();
        reject(new ProxyRefusal(statusCode));
      })
      .once('timeout', () => {
        request.destroy(Object.assign(new Error('the proxy does not answer'), { code: 'ETIMEDOUT' }));
      })
      .once('error', reject)
      .end();
  });
}
