import { type AddressInfo, connect, type Server, type Socket } from 'node:net';
import { createServer as createProxy } from 'node:http';

export interface ConnectProxy {
  readonly port: number;
  /** How many connections it was asked for. */
  readonly opened: () => number;
  readonly stop: () => Promise<void>;
}

/** A proxy that takes CONNECT from who knows `login` (user:password), and nothing else. */
export async function startProxy(login: string): Promise<ConnectProxy> {
  let opened = 0;
  const sockets = new Set<Socket>();
  const expected = `Basic ${Buffer.from(login).toString('base64')}`;
  const server = createProxy((_request, response) => response.writeHead(405).end());
  server.on('connect', ({ url, headers }, near: Socket) => {
    opened += 1;
    if (headers['proxy-authorization'] !== expected) {
      near.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n');
      return;
    }
    const far = connect(Number(url?.split(':').at(-1)), '127.0.0.1', () => {
      near.write('HTTP/1.1 200 Connection established\r\n\r\n');
      near.pipe(far).pipe(near);
    });
    track(sockets, near, far);
  });
  return {
    port: await listening(server),
    opened: () => opened,
    stop: () => stop(server, sockets),
  };
}

function track(sockets: Set<Socket>, ...pair: readonly Socket[]): void {
  for (const socket of pair) {
    sockets.add(socket);
    // Either side may go at any time: that is what a relay is for.
    socket.on('error', () => undefined);
    socket.once('close', () => {
      sockets.delete(socket);
      for (const other of pair) other.destroy();
    });
  }
}

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

async function stop(server: Server, sockets: ReadonlySet<Socket>): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve));
  for (const socket of sockets) socket.destroy();
  await closed;
}
