import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { writeFileSync } from 'node:fs';
import type { AzureOptions } from '../../../storage-drivers/azure/azure-options.ts';
import { newDirectory, removeDirectory } from '../sandbox.ts';
import { NO_OPTIONS } from './azurite.ts';

/** An answer of the store; one of only a `status` has no body. */
export interface Answer {
  readonly status: number;
  readonly code?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** A blob service that gives the answers that an emulator cannot be brought to. */
export interface AnsweringServer {
  /** METHOD and path of each request, as they came. */
  readonly requests: string[];
  /** Connections that are open now. */
  readonly connections: () => Promise<number>;
  /** What it answers to a request; undefined: nothing at all. */
  answer: (request: IncomingMessage) => Answer | undefined;
  readonly options: AzureOptions;
  readonly stop: () => Promise<void>;
}

export const SECRET = Buffer.from('the key of the account').toString('base64');

export async function startAnswering(): Promise<AnsweringServer> {
  const directory = newDirectory('answers');
  const keyFile = join(directory, 'key');
  writeFileSync(keyFile, SECRET, { mode: 0o600 });
  const server = createServer((request, response) => {
    running.requests.push(`${request.method ?? ''} ${request.url ?? ''}`);
    request.resume().once('end', () => {
      const answer = running.answer(request);
      if (answer !== undefined) send(response, answer);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const running: AnsweringServer = {
    requests: [],
    answer: () => undefined,
    connections: () =>
      new Promise((resolve, reject) => {
        server.getConnections((error, count) => {
          if (error === null) resolve(count);
          else reject(error);
        });
      }),
    options: {
      ...NO_OPTIONS,
      container: 'walden',
      account: 'account',
      endpoint: `http://127.0.0.1:${port}/account`,
      keyFile,
    },
    stop: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
      removeDirectory(directory);
    },
  };
  return running;
}

function send(response: ServerResponse, { status, code, headers = {}, body }: Answer): void {
  const xml = code === undefined ? '' : `<?xml version="1.0"?><Error><Code>${code}</Code><Message>m</Message></Error>`;
  response.writeHead(status, {
    'x-ms-request-id': 'request-1',
    ...(code === undefined ? {} : { 'x-ms-error-code': code }),
    'content-type': 'application/xml',
    ...headers,
  });
  response.end(body ?? xml);
}
