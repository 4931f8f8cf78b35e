import http from 'node:http';
import https from 'node:https';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import tls from 'node:tls';
import { WaldenError } from '../../src/errors.ts';
import { openTunnel, ProxyRefusal } from '../proxy-tunnel.ts';
import type { GcsConnection } from './gcs-options.ts';

/** From the first packet to a connection, in milliseconds; kept connections that nobody uses are closed after it too. */
export const CONNECT_MS = 10_000;

type Connected = (error: Error | null, socket: Duplex) => void;

/** Connections to the store, kept for the next request. */
export function storeAgent({ endpoint, ca, proxy }: GcsConnection): http.Agent {
  const options = { keepAlive: true, timeout: CONNECT_MS };
  if (endpoint.protocol === 'http:') return new http.Agent(options);
  return secureAgent({ ...options, ca }, proxy);
}

/**
 * Connections to where tokens come from. These are Google's also when the store is somebody else's with a certificate of
 * its own, so that authority comes on top of the well-known ones.
 */
export function tokenAgent({ ca, proxy }: GcsConnection): https.Agent {
  return secureAgent({ timeout: CONNECT_MS, ca: ca === undefined ? undefined : [...tls.rootCertificates, ca] }, proxy);
}

function secureAgent(options: https.AgentOptions, proxy: URL | undefined): https.Agent {
  return proxy === undefined ? new https.Agent(options) : new TunnelAgent(options, proxy);
}

/** Connects through a proxy: CONNECT, RFC 9110, 9.3.6. What goes through it is encrypted from here to the store. */
class TunnelAgent extends https.Agent {
  readonly #proxy: URL;

  constructor(options: https.AgentOptions, proxy: URL) {
    super(options);
    this.#proxy = proxy;
  }

  override createConnection(options: https.RequestOptions, done: Connected = () => undefined): undefined {
    const target = `${options.host ?? ''}:${options.port ?? 443}`;
    openTunnel(this.#proxy, target, { ca: this.options.ca, timeoutMs: CONNECT_MS }).then(
      (socket) => {
        const { ca, servername, timeout } = { ...this.options, ...options };
        done(null, tls.connect({ socket, ca, servername, timeout, host: options.host ?? '' }));
      },
      (error: unknown) => {
        // The type wants a socket beside an error; nobody looks at it.
        done(refused(target, error), new Socket());
      },
    );
  }
}

function refused(target: string, cause: unknown): WaldenError {
  const fact = cause instanceof Error ? cause.message : String(cause);
  const code = cause instanceof ProxyRefusal && cause.status === 407 ? 'STORAGE_DENIED' : 'STORAGE_UNAVAILABLE';
  const message = `unable to connect to ${target} through the proxy (${fact})`;
  return new WaldenError(code, message, { hint: 'check proxy', cause });
}
