import { Agent as HttpAgent, type ClientRequestArgs } from 'node:http';
import { Agent as HttpsAgent, type AgentOptions, type RequestOptions } from 'node:https';
import { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import { openTunnel } from '../proxy-tunnel.ts';

/** Agents that reach servers through an HTTP proxy, of which they ask a tunnel to each (CONNECT). */

type Connected = (error: Error | null, socket: Duplex) => void;

const PROXY_TIMEOUT_MS = 10_000;

/** For servers without TLS. */
export class HttpTunnelAgent extends HttpAgent {
  readonly #tunnels: Tunnels;

  constructor(tunnels: Tunnels, settings: AgentOptions) {
    super(settings);
    this.#tunnels = tunnels;
  }

  override createConnection(server: ClientRequestArgs, connected: Connected): undefined {
    answer(this.#tunnels.open(server), connected);
  }
}

/** For servers with TLS, which goes through the tunnel. */
export class HttpsTunnelAgent extends HttpsAgent {
  readonly #tunnels: Tunnels;

  constructor(tunnels: Tunnels, settings: AgentOptions) {
    super(settings);
    this.#tunnels = tunnels;
  }

  override createConnection(server: RequestOptions, connected: Connected): undefined {
    // The agent has put its own settings among those of the server.
    const { host, servername, ca } = server;
    const secured = this.#tunnels.open(server).then((socket) =>
      connectTls({
        socket,
        ...(host ? { host } : {}),
        ...(servername === undefined ? {} : { servername }),
        ...(ca === undefined ? {} : { ca }),
      }),
    );
    answer(secured, connected);
  }
}

function answer(opening: Promise<Duplex>, connected: Connected): void {
  opening.then(
    (socket) => {
      connected(null, socket);
    },
    (error: unknown) => {
      // Node's type wants a stream here as well.
      connected(error instanceof Error ? error : new Error(String(error)), new Duplex());
    },
  );
}

/** What one proxy gives. */
export class Tunnels {
  readonly #proxy: URL;
  readonly #ca: AgentOptions['ca'];

  /** @param ca authorities to trust, for a proxy with TLS */
  constructor(proxy: URL, ca: AgentOptions['ca']) {
    this.#proxy = proxy;
    this.#ca = ca;
  }

  /** @throws ProxyRefusal, or what the system says */
  async open({ host, port }: ClientRequestArgs): Promise<Duplex> {
    const target = `${String(host)}:${String(port)}`;
    return await openTunnel(this.#proxy, target, { ca: this.#ca, timeoutMs: PROXY_TIMEOUT_MS });
  }
}
