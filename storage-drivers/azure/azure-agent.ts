import http from 'node:http';
import https from 'node:https';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { rootCertificates } from 'node:tls';
import { openTunnel } from '../proxy-tunnel.ts';

/** In milliseconds. */
export interface Patience {
  /** Within this time a connection is made; its TLS then, and its proxy before, have as long again. */
  readonly connectMs: number;
  /** A connection that a request uses and on which nothing moves for so long is lost. */
  readonly idleMs: number;
}

const PATIENCE: Patience = { connectMs: 10_000, idleMs: 60_000 };

export interface Route {
  /** Certificates in PEM to trust besides those that Node trusts. */
  readonly ca: string | undefined;
  readonly proxy: URL | undefined;
}

/** What to trust when `ca` is trusted too; undefined: what Node trusts by default. */
export function trusted(ca: string | undefined): string[] | undefined {
  return ca === undefined ? undefined : [...rootCertificates, ca];
}

/**
 * The connections to one store. The SDK waits for ever, both for a connection and on one that went silent, and trusts no
 * certificate of ours behind a proxy; whoever closes the store ends them all.
 */
export function azureAgent(url: URL, { ca, proxy }: Route, patience = PATIENCE): http.Agent {
  const secure = url.protocol === 'https:';
  const options = { keepAlive: true, timeout: patience.idleMs };
  const agent: http.Agent = secure ? new https.Agent({ ...options, ca: trusted(ca) }) : new http.Agent(options);
  const connect: http.Agent['createConnection'] = agent.createConnection.bind(agent);
  agent.createConnection = (to, callback) => {
    if (proxy === undefined) return guarded(connect(to), secure ? 'secureConnect' : 'connect', patience);
    openTunnel(proxy, `${url.hostname}:${portOf(url)}`, { ca: trusted(ca), timeoutMs: patience.connectMs }).then(
      (tunnel) => {
        // In the clear the tunnel is the connection; else TLS begins in it.
        const inside = secure ? connect(throughSocket(to, tunnel)) : tunnel;
        callback?.(null, guarded(inside ?? tunnel, secure ? 'secureConnect' : undefined, patience));
      },
      (error: unknown) => {
        // Node's type wants a stream here as well.
        callback?.(error instanceof Error ? error : new Error(String(error)), new Socket());
      },
    );
    return undefined;
  };
  const reuse: http.Agent['reuseSocket'] = agent.reuseSocket.bind(agent);
  agent.reuseSocket = (socket, request) => {
    reuse(socket, request);
    // While it was free it had as long as the server keeps free ones.
    if (socket instanceof Socket) socket.setTimeout(patience.idleMs);
  };
  return agent;
}

function throughSocket(options: http.ClientRequestArgs, socket: Socket): http.ClientRequestArgs & { socket: Socket } {
  return { ...options, socket };
}

/** Ends a connection that is not `made` in time, or goes silent afterwards; what uses it fails then. */
function guarded<Connection extends Duplex | null | undefined>(
  socket: Connection,
  made: string | undefined,
  { connectMs, idleMs }: Patience,
): Connection {
  if (!(socket instanceof Socket)) return socket;
  socket.setTimeout(made === undefined ? idleMs : connectMs);
  if (made !== undefined) socket.once(made, () => socket.setTimeout(idleMs));
  socket.on('timeout', () => socket.destroy(timedOut()));
  return socket;
}

function portOf({ port, protocol }: URL): string {
  if (port !== '') return port;
  return protocol === 'https:' ? '443' : '80';
}

function timedOut(): Error {
  return Object.assign(new Error('the connection timed out'), { code: 'ETIMEDOUT' });
}
