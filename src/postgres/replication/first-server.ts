import type { ClientConfig } from 'pg';
import { isWaldenError, WaldenError, withContext } from '../../errors.ts';
import { parseHostList } from '../conninfo.ts';
import { ReplicationConnection } from './connection.ts';

/** A connection to one of the servers that a conninfo names. */
export interface ChosenServer {
  readonly connection: ReplicationConnection;
  /** Whether no network lies between. */
  readonly isOnThisHost: boolean;
  /** Its number among the hosts, from 0. */
  readonly index: number;
}

/**
 * What `work` finds on the first of the hosts in `conninfo` that will do: it answers, takes writes where read-write is wanted,
 * and `work` does not refuse it as another cluster's. The connection is closed afterwards.
 * @throws CONFIG_INVALID, what `work` throws, and of hosts none of which will do the failure of the first
 */
export async function onFirstServer<Result>(
  conninfo: string,
  work: (server: ChosenServer) => Promise<Result>,
  applicationName = 'walden',
): Promise<Result> {
  const { hosts, target } = parseHostList(conninfo);
  let failure: unknown;
  for (const [index, host] of hosts.entries()) {
    try {
      const connection = await ReplicationConnection.open({
        ...host,
        application_name: host.application_name ?? applicationName,
      });
      try {
        if (target === 'read-write') await assertTakesWrites(connection);
        return await work({ connection, isOnThisHost: isOnThisHost(host), index });
      } finally {
        await connection.close();
      }
    } catch (error) {
      if (hosts.length === 1 || !isWaldenError(error, 'SERVER_UNREACHABLE', 'SERVER_MISMATCH')) throw error;
      failure ??= withContext(error, `host ${host.host ?? 'by default'}`);
    }
  }
  throw failure;
}

function isOnThisHost({ host }: ClientConfig): boolean {
  return host === undefined || host.startsWith('/') || /^(localhost|127\.[\d.]+|::1)$/.test(host);
}

async function assertTakesWrites(connection: ReplicationConnection): Promise<void> {
  if ((await connection.show('transaction_read_only')) === 'off') return;
  throw new WaldenError('SERVER_UNREACHABLE', 'the server takes no writes, and read-write is wanted');
}
