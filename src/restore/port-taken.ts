import { createConnection, createServer } from 'node:net';
import { join } from 'node:path';
import { systemErrorCode, WaldenError } from '../errors.ts';

/** Where PostgreSQL puts its unix socket unless it is told otherwise: Debian's and RPM's packages, and the original. */
const SOCKET_DIRECTORIES = ['/var/run/postgresql', '/tmp'];
const DEADLINE_MS = 5_000;

export interface ListeningPlace {
  readonly port: number;
  /** As the setting listen_addresses: empty, `*`, or a list. */
  readonly addresses: string;
}

/** Refuses a port of this host that something listens on. @throws LOCK_HELD */
export async function assertPortFree({ port, addresses }: ListeningPlace): Promise<void> {
  for (const address of addressesOf(addresses)) {
    if (await isTaken(port, address)) throw taken(port, address);
  }
  for (const directory of SOCKET_DIRECTORIES) {
    const path = join(directory, `.s.PGSQL.${port}`);
    if (await answers(path)) throw taken(port, path);
  }
}

function addressesOf(setting: string): readonly string[] {
  const words = setting
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '');
  return words.flatMap((word) => (word === '*' ? ['0.0.0.0', '::'] : [word]));
}

function taken(port: number, where: string): WaldenError {
  return new WaldenError('LOCK_HELD', `port ${port} is taken on this host: something listens on ${where}`, {
    hint: 'give the standby another one: --port',
    details: { port },
  });
}

/** An address of another host, or a name that nobody knows, is none that anything listens on here. */
async function isTaken(port: number, address: string): Promise<boolean> {
  return await new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', (error) => {
      resolve(systemErrorCode(error) === 'EADDRINUSE');
    });
    probe.listen({ port, host: address, exclusive: true }, () => {
      probe.close(() => {
        resolve(false);
      });
    });
  });
}

async function answers(path: string): Promise<boolean> {
  return await new Promise((resolve) => {
    const probe = createConnection({ path });
    const end = (isThere: boolean): void => {
      probe.destroy();
      resolve(isThere);
    };
    probe.setTimeout(DEADLINE_MS, () => {
      end(true);
    });
    probe.once('connect', () => {
      end(true);
    });
    // Nobody there, or a file that a killed server left.
    probe.once('error', () => {
      end(false);
    });
  });
}
