import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Registry } from 'prom-client';
import type { MetricsListenConfig } from '../../config/config.ts';
import { systemErrorCode, WaldenError } from '../../errors.ts';
import { readSecretFile } from '../../platform/private-files.ts';

/** A scrape is small and quick: who is slower than that keeps nothing open here. */
const REQUEST_MS = 10_000;
const MOST_CONNECTIONS = 32;

export interface ScrapeListener {
  close(): Promise<void>;
}

/**
 * Answers `GET /metrics` over TCP and nothing else, to whoever shows the token where there is one.
 * @throws KEY_REFUSED (the token's file), LOCAL_IO, LOCK_HELD
 */
export async function listenForScrapes(registry: Registry, config: MetricsListenConfig): Promise<ScrapeListener> {
  const token = config.tokenFile === undefined ? undefined : await readSecretFile(config.tokenFile, 'token');
  const server = createServer((request, response) => {
    void answer(registry, token, request, response);
  });
  server.maxConnections = MOST_CONNECTIONS;
  server.requestTimeout = REQUEST_MS;
  server.headersTimeout = REQUEST_MS;
  server.timeout = REQUEST_MS;
  const { host, port } = config;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => {
      const reason = systemErrorCode(cause) ?? 'unknown';
      const code = reason === 'EADDRINUSE' ? 'LOCK_HELD' : 'LOCAL_IO';
      const hint = 'give metrics_listen a port of its own that this user may listen on';
      reject(
        new WaldenError(code, `unable to listen for scrapes on ${host} port ${port} (${reason})`, { hint, cause }),
      );
    });
    server.listen(port, host, resolve);
  });
  return {
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

async function answer(
  registry: Registry,
  token: string | undefined,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const refuse = (status: number, text: string, headers: Readonly<Record<string, string>> = {}): void => {
    response.writeHead(status, { 'content-type': 'text/plain', ...headers }).end(`${text}\n`);
  };
  if (token !== undefined && !isAllowed(request.headers.authorization, token)) {
    refuse(401, 'the token is missing, or not the right one', { 'www-authenticate': 'Bearer' });
  } else if (request.url?.split('?')[0] !== '/metrics') refuse(404, 'there is only /metrics');
  else if (request.method !== 'GET') refuse(405, 'only GET', { allow: 'GET' });
  else {
    try {
      const text = await registry.metrics();
      response.writeHead(200, { 'content-type': registry.contentType }).end(text);
    } catch {
      // A gauge that cannot be read; the log of the service has what is behind that.
      refuse(500, 'unable to tell the metrics');
    }
  }
}

/** In the same time whatever is wrong: of both only the digests are compared. */
function isAllowed(header: string | undefined, token: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(header ?? ''), digest(`Bearer ${token}`));
}
