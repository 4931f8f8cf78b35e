import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** A way to a server on 127.0.0.1 that can be shut: connections are cut then, and new ones refused. */
export class Gate {
  readonly port: number;
  readonly #target: number;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;

  static async open(target: number): Promise<Gate> {
    const gate = new Gate(target, await listen(undefined));
    gate.#serve();
    return gate;
  }

  private constructor(target: number, server: Server) {
    this.#target = target;
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
  }

  async shut(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    for (const socket of this.#sockets) socket.destroy();
    if (server !== undefined) await new Promise((resolve) => server.close(resolve));
  }

  async reopen(): Promise<void> {
    this.#server = await listen(this.port);
    this.#serve();
  }

  #serve(): void {
    this.#server?.on('connection', (client) => {
      const server = connect({ host: '127.0.0.1', port: this.#target });
      for (const [one, other] of [
        [client, server],
        [server, client],
      ] as const) {
        this.#sockets.add(one);
        one.on('error', () => undefined);
        one.once('close', () => {
          this.#sockets.delete(one);
          other.destroy();
        });
        one.pipe(other);
      }
    });
  }
}

async function listen(port: number | undefined): Promise<Server> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port ?? 0, '127.0.0.1', resolve);
  });
  return server;
}
