import { realpath } from 'node:fs/promises';
import type { ClusterConfig, Config } from '../../config/config.ts';
import { isWaldenError, WaldenError } from '../../errors.ts';
import { asUser } from '../../platform/as-user.ts';
import { readControlFile } from '../../postgres/control-file.ts';
import type { PostmasterPlace } from '../../postgres/postmaster-place.ts';
import { openSession, type Session } from '../../postgres/session.ts';
import { findServers, type FoundServer } from '../../setup/init/find-servers.ts';
import { type ServerOwner, serverOwner } from '../../setup/init/owner.ts';

const QUERY_TIMEOUT_MS = 30_000;

/** The server that a cluster is to be of, as it was found. */
export interface InitServer extends FoundServer {
  readonly owner: ServerOwner;
  /** Of the role that let us in. */
  readonly conninfo: string;
  readonly databaseBytes: number | undefined;
}

/** @throws NOT_FOUND, USAGE where there are several, and as serverOwner */
export async function findServer(
  named: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<InitServer> {
  const found = await findServers(named, environment['PGDATA']);
  const [server, ...others] = found;
  if (server === undefined) {
    throw new WaldenError(
      'NOT_FOUND',
      named === undefined ? 'no running PostgreSQL was found on this host' : `no PostgreSQL runs in ${named}`,
      { hint: 'start it, name its data directory with --data-directory, and run this as root or as its user' },
    );
  }
  if (others.length > 0) {
    throw new WaldenError('USAGE', `several servers run here: ${found.map((one) => one.dataDirectory).join(', ')}`, {
      hint: 'choose one: --data-directory DIR',
    });
  }
  await readControlFile(server.dataDirectory);
  const owner = serverOwner(server);
  return await asUser(owner, async () => {
    const { session, conninfo } = await openAs(server.place, await rolesOf(server, environment['PGUSER']));
    try {
      return { ...server, owner, conninfo, databaseBytes: await sizeOf(session) };
    } finally {
      await session.close();
    }
  });
}

/** A role of the user's own name, as peer authentication wants it; that of most packages; whom PGUSER names first. */
async function rolesOf({ uid }: FoundServer, named: string | undefined): Promise<readonly string[]> {
  const { userName } = await import('../../setup/init/user-name.ts');
  return [...new Set([...(named === undefined ? [] : [named]), (await userName(uid)) ?? 'postgres', 'postgres'])];
}

async function openAs(
  place: PostmasterPlace,
  [role = 'postgres', ...others]: readonly string[],
): Promise<{ readonly session: Session; readonly conninfo: string }> {
  const conninfo = `${place.conninfo} user=${/^\w+$/.test(role) ? role : `'${role.replaceAll(/['\\]/g, String.raw`\$&`)}'`}`;
  try {
    return { session: await openSession(conninfo, { timeoutMs: QUERY_TIMEOUT_MS }), conninfo };
  } catch (error) {
    if (others.length > 0 && isWaldenError(error, 'SERVER_UNREACHABLE')) return await openAs(place, others);
    throw error;
  }
}

/** Undefined where the role may not see every database. */
async function sizeOf(session: Session): Promise<number | undefined> {
  try {
    const [row] = await session.query(
      'select sum(pg_catalog.pg_database_size(oid))::float8 as bytes from pg_catalog.pg_database',
    );
    return Number(row?.['bytes']);
  } catch (error) {
    if (isWaldenError(error, 'SERVER_QUERY')) return undefined;
    throw error;
  }
}

/** The cluster of an existing configuration that is this server. @throws CONFIG_INVALID when it has none, or another name */
export async function clusterOfServer(
  config: Config,
  { dataDirectory }: FoundServer,
  name: string | undefined,
): Promise<ClusterConfig> {
  const own = await realpath(dataDirectory);
  for (const cluster of config.clusters.values()) {
    // One that is not there is another one's.
    const place = await realpath(cluster.dataDirectory ?? '').catch(() => undefined);
    if (place !== own) continue;
    if (name === undefined || cluster.name === name) return cluster;
    throw existsAlready(config, `calls the cluster in ${dataDirectory} ${cluster.name}, not ${name}`);
  }
  throw existsAlready(config, `has no cluster in ${dataDirectory}`);
}

function existsAlready({ source }: Config, fact: string): WaldenError {
  return new WaldenError('CONFIG_INVALID', `${source} exists already, and ${fact}`, {
    hint: 'nothing was changed: add a section to it by hand (docs/options.md), or name another file: --config FILE',
  });
}
