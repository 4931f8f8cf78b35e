import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import { buffer } from 'node:stream/consumers';

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly body: string;
  readonly headers: IncomingHttpHeaders;
}

type Answer = { readonly status?: number; readonly document?: unknown; readonly text?: string } | 'never' | undefined;

/** Answers on a unix socket in the service's place, to test what the command does with answers; nothing else. */
export class StandInService {
  readonly asked: Asked[] = [];
  readonly #server: Server;

  constructor(answer: (asked: Asked) => Answer) {
    this.#server = createServer((request, response) => {
      void this.#serve(request, response, answer);
    });
  }

  async listen(socket: string): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(socket, resolve));
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse, answer: (asked: Asked) => Answer): Promise<void> {
    const body = (await buffer(request)).toString();
    const asked = { method: request.method ?? '', path: request.url ?? '', body, headers: request.headers };
    this.asked.push(asked);
    const answered = answer(asked);
    if (answered === 'never') return;
    const found = answered ?? {
      status: 404,
      document: { code: 'NOT_FOUND', message: `there is no ${asked.method} ${asked.path}`, hint: 'look', details: {} },
    };
    response.writeHead(found.status ?? 200, { 'content-type': 'application/json' });
    response.end(found.text ?? JSON.stringify(found.document));
  }
}
