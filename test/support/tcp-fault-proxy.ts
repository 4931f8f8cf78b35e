import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** What happens to the bytes of a connection behind the first ones: it is reset, one byte changes, or no more go on. */
export type TcpFault = 'reset' | 'change' | 'silence';
export type Direction = 'up' | 'down';

interface Planned {
  readonly fault: TcpFault;
  readonly direction: Direction;
  left: number;
  times: number;
}

/** Stands before a server on 127.0.0.1, or on a unix socket, whose protocol nobody in between reads, such as SSH. */
export class TcpFaultProxy {
  /** How many faults have happened. */
  struck = 0;
  /** At most so many bytes go on at once, so that messages are cut wherever it happens. */
  pieceBytes = Number.POSITIVE_INFINITY;
  readonly #server: Server;
  readonly #clients = new Set<Socket>();
  readonly #silenced = new Set<Socket>();
  #planned: Planned | undefined;

  /** @param target a port, or the path of a socket */
  static async start(target: number | string): Promise<TcpFaultProxy> {
    const proxy = new TcpFaultProxy(target);
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  private constructor(target: number | string) {
    const place = typeof target === 'string' ? { path: target } : { port: target, host: '127.0.0.1', noDelay: true };
    this.#server = createServer({ noDelay: true }, (client) => {
      this.#clients.add(client);
      client.once('close', () => this.#clients.delete(client));
      const server = connect(place);
      this.#relay(client, server, client, 'up');
      this.#relay(server, client, client, 'down');
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Connections of clients that are open. */
  get connections(): number {
    return this.#clients.size;
  }

  /** Does this when all connections together have brought so many bytes from now on, and to the next bytes up to `times`. */
  plan(
    fault: TcpFault,
    direction: Direction,
    { afterBytes, times = 1 }: { readonly afterBytes: number; readonly times?: number },
  ): void {
    this.#planned = { fault, direction, left: afterBytes, times };
  }

  clear(): void {
    this.#planned = undefined;
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const client of this.#clients) client.destroy();
    await closed;
  }

  #relay(from: Socket, to: Socket, client: Socket, direction: Direction): void {
    from.on('data', (bytes: Buffer) => {
      const fault = this.#next(direction, bytes.length);
      if (fault === 'reset') {
        client.resetAndDestroy();
        return;
      }
      if (fault === 'silence') this.#silenced.add(client);
      if (this.#silenced.has(client)) return;
      const last = bytes.length - 1;
      if (fault === 'change') bytes[last] = (bytes[last] ?? 0) ^ 0xff;
      if (this.#forward(to, bytes)) return;
      from.pause();
      to.once('drain', () => from.resume());
    });
    // Whichever side ends or fails, the other does too.
    from.on('error', () => undefined);
    from.once('close', () => to.destroy());
  }

  #forward(to: Socket, bytes: Buffer): boolean {
    let hasRoom = true;
    for (let at = 0; at < bytes.length; at += this.pieceBytes) {
      hasRoom = to.write(bytes.subarray(at, Math.min(bytes.length, at + this.pieceBytes)));
    }
    return hasRoom;
  }

  #next(direction: Direction, bytes: number): TcpFault | undefined {
    const planned = this.#planned;
    if (planned?.direction !== direction) return undefined;
    planned.left -= bytes;
    if (planned.left > 0) return undefined;
    planned.times -= 1;
    if (planned.times === 0) this.#planned = undefined;
    this.struck += 1;
    return planned.fault;
  }
}
