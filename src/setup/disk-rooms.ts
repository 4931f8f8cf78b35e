import { statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { ClusterConfig, Config } from '../config/config.ts';

/** How much room there is where Walden, or PostgreSQL for it, writes. */
export interface DiskRoom {
  readonly what: string;
  readonly path: string;
  /** For whoever is not root. */
  readonly freeBytes: number;
  readonly totalBytes: number;
}

/** Of the places on this host; one that cannot be looked at from here is left out. */
export async function diskRooms(config: Config, cluster: ClusterConfig): Promise<readonly DiskRoom[]> {
  const places = [
    ...(cluster.dataDirectory === undefined
      ? []
      : [{ what: "the server's WAL", path: join(cluster.dataDirectory, 'pg_wal') }]),
    { what: 'the state directory', path: config.service.stateDirectory },
    { what: 'the spool', path: cluster.spoolDirectory },
    ...cluster.repositories.flatMap((name) => {
      const repository = config.repositories.get(name);
      return repository?.driver === 'local' ? [{ what: `repository ${name}`, path: repository.path }] : [];
    }),
  ];
  const rooms = await Promise.all(
    places.map(async ({ what, path }): Promise<readonly DiskRoom[]> => {
      try {
        const { bavail, blocks, bsize } = await statfs(path);
        return [{ what, path, freeBytes: bavail * bsize, totalBytes: blocks * bsize }];
      } catch {
        // Whatever the reason: how much room there is cannot be known then, and what it keeps from working is told elsewhere.
        return [];
      }
    }),
  );
  return rooms.flat();
}
