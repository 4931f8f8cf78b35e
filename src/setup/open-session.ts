import type { ClusterConfig } from '../config/config.ts';
import { WaldenError } from '../errors.ts';
import { openSession, type Session } from '../postgres/session.ts';

/** Nothing that is asked here takes long. */
const QUERY_TIMEOUT_MS = 30_000;

/** SQL with the server of a cluster. @throws CONFIG_INVALID where the configuration says nothing of SQL; as openSession */
export async function openClusterSession({
  name,
  conninfo,
}: Pick<ClusterConfig, 'name' | 'conninfo'>): Promise<Session> {
  if (conninfo !== undefined) return await openSession(conninfo, { timeoutMs: QUERY_TIMEOUT_MS });
  throw new WaldenError('CONFIG_INVALID', `cluster.${name}.conninfo is missing: its server cannot be asked by SQL`, {
    hint: `name the server in [cluster.${name}], with a role that may change settings`,
  });
}
