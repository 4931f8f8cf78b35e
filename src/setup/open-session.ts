import { stat } from 'node:fs/promises';
import type { ClusterConfig } from '../config/config.ts';
import { WaldenError } from '../errors.ts';
import { asUser } from '../platform/as-user.ts';
import { openSession, type Session } from '../postgres/session.ts';

/** Nothing that is asked here takes long. */
const QUERY_TIMEOUT_MS = 30_000;

/**
 * SQL with the server of a cluster; root connects as the user of its data directory, as the service does.
 * @throws CONFIG_INVALID where the configuration says nothing of SQL; as openSession
 */
export async function openClusterSession({
  name,
  conninfo,
  dataDirectory,
}: Pick<ClusterConfig, 'name' | 'conninfo' | 'dataDirectory'>): Promise<Session> {
  if (conninfo === undefined) {
    throw new WaldenError('CONFIG_INVALID', `cluster.${name}.conninfo is missing: its server cannot be asked by SQL`, {
      hint: `name the server in [cluster.${name}], with a role that may change settings`,
    });
  }
  // Where there is none, or it cannot be looked at, this process stays who it is.
  const owner = dataDirectory === undefined ? undefined : await stat(dataDirectory).catch(() => undefined);
  const open = (): Promise<Session> => openSession(conninfo, { timeoutMs: QUERY_TIMEOUT_MS });
  return owner === undefined ? await open() : await asUser(owner, open);
}
