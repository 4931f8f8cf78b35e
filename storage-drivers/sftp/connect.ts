import { connect as connectTo, type Socket } from 'node:net';
import ssh2, { type Client } from 'ssh2';
import { WaldenError } from '../../src/errors.ts';
import { HostKeyCheck } from './host-key.ts';
import { readCredentials } from './sftp-credentials.ts';
import { connectError } from './sftp-errors.ts';
import type { SftpOptions, SftpPatience } from './sftp-options.ts';

/** Of questions whether the server is still there. */
const UNANSWERED_KEEPALIVES = 2;

/** A user who is logged in. */
export interface Connected {
  readonly client: Client;
  readonly socket: Socket;
}

/**
 * Logs in. The signal gives up.
 * @throws STORAGE_DENIED (the server's key, the user's key or password), STORAGE_UNAVAILABLE
 */
export async function connect(options: SftpOptions, patience: SftpPatience, signal: AbortSignal): Promise<Connected> {
  const { host, port = 22, user: username } = options;
  const [hostKey, credentials] = [await HostKeyCheck.of(options), await readCredentials(options)];
  if (signal.aborted) throw new WaldenError('STORAGE_UNAVAILABLE', `gave up to connect to ${host}`);
  const login = { user: username, server: `${host}:${port}`, ways: credentials.map(({ type }) => type) };
  const client = new ssh2.Client();
  // Nagle's algorithm would let each request wait for the acknowledgement of the one before.
  const socket = connectTo({ host, port, noDelay: true });
  const giveUp = (): void => {
    socket.destroy();
  };
  signal.addEventListener('abort', giveUp, { once: true });
  let refusal: WaldenError | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      client.on('ready', resolve);
      client.on('error', (error) => {
        // Of an agent that is gone: the next way is tried.
        if (!('level' in error) || error.level !== 'agent') reject(error);
      });
      client.on('close', () => {
        reject(new Error('the connection was closed'));
      });
      client.connect({
        sock: socket,
        username,
        authHandler: [...credentials],
        algorithms: { serverHostKey: hostKey.algorithms },
        hostVerifier: (key: Buffer) => {
          refusal = hostKey.refusal(key);
          return refusal === undefined;
        },
        readyTimeout: patience.connectMs,
        keepaliveInterval: patience.keepaliveMs,
        keepaliveCountMax: UNANSWERED_KEEPALIVES,
      });
    });
    return { client, socket };
  } catch (error) {
    socket.destroy();
    throw refusal ?? connectError(error, login);
  } finally {
    signal.removeEventListener('abort', giveUp);
  }
}
