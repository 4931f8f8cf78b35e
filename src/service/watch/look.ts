import { readdir, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { BackupRecord } from '../../../catalog/catalog.ts';
import type { DrillRecord } from '../../../catalog/proof.ts';
import type { ClusterStatusDocument, WalGapsDocument } from '../api.ts';
import { clusterStatus } from '../answers/status.ts';
import { walGaps } from '../answers/wal.ts';
import type { ClusterRoom } from '../cluster-room.ts';
import type { ServiceRooms } from '../rooms.ts';

/** How many drills may have failed since the last one that passed. */
const DRILLS = 100;

/** How a cluster is doing, by the catalog and this host: no repository is asked for it. */
export interface ClusterLook {
  readonly room: ClusterRoom;
  readonly at: Date;
  /** Whether the catalog knows all; otherwise what is missing in it may be there. */
  readonly isWhole: boolean;
  readonly status: ClusterStatusDocument;
  readonly gaps: WalGapsDocument['gaps'];
  /** Those that are complete, ascending. */
  readonly backups: readonly BackupRecord[];
  readonly spool: SpoolUse | undefined;
  /** The newest one that passed. */
  readonly passedDrill: DrillRecord | undefined;
}

export interface SpoolUse {
  readonly bytes: number;
  /** What is left on its disk for this user. */
  readonly freeBytes: number;
}

export async function lookAtCluster(rooms: ServiceRooms, room: ClusterRoom): Promise<ClusterLook> {
  const { deps, jobs, rebuild } = rooms;
  const { name } = room.config;
  return {
    room,
    at: deps.clock.now(),
    isWhole: rebuild === undefined,
    status: await clusterStatus(deps, jobs, room),
    gaps: (await walGaps(deps.catalog, room.config)).gaps,
    backups: (await deps.catalog.backups(name)).filter(({ state }) => state === 'complete'),
    spool: await spoolUse(room.config.spoolDirectory),
    passedDrill: (await deps.catalog.proof.drills(name, DRILLS)).find(({ outcome }) => outcome === 'passed'),
  };
}

/** Undefined where the spool cannot be read. */
async function spoolUse(directory: string): Promise<SpoolUse | undefined> {
  try {
    const { bavail, bsize } = await statfs(directory);
    let bytes = 0;
    for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
      if (entry.isFile()) bytes += await sizeOf(join(entry.parentPath, entry.name));
    }
    return { bytes, freeBytes: bavail * bsize };
  } catch {
    // Gone, or unmounted: it is not known then, and made again when it is needed.
    return undefined;
  }
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch {
    // Taken by PostgreSQL, or stored, since the directory was read.
    return 0;
  }
}
