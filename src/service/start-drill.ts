import { readFile } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { localIoError, WaldenError } from '../errors.ts';
import { restoreCommand } from '../config/command-line.ts';
import type { ClusterConfig } from '../config/config.ts';
import { parseDrillCheck } from '../config/drill-check.ts';
import { parseConninfo } from '../postgres/conninfo.ts';
import { drill } from '../verify/drill/drill.ts';
import type { SqlCheck } from '../verify/drill/run-checks.ts';
import { drillDocument } from './answers/proof.ts';
import type { DrillRequest } from './api.ts';
import type { ClusterRoom } from './cluster-room.ts';
import type { JobView } from './jobs.ts';
import { byKnown, rebuildBegun, type ServiceRooms } from './rooms.ts';

/** Where it is written down which scratch directories there are; the default place of these too. */
export function drillRegistry(stateDirectory: string): string {
  return join(stateDirectory, 'drills');
}

/**
 * Starts a drill, one at a time in a service.
 * @throws USAGE, LOCK_HELD while one runs
 */
export async function startDrill(rooms: ServiceRooms, room: ClusterRoom, request: DrillRequest): Promise<JobView> {
  const { deps, jobs } = rooms;
  const { config } = room;
  const registry = drillRegistry(deps.config.service.stateDirectory);
  const { user, database = 'postgres' } = parseConninfo(config.backup.conninfo);
  const order = {
    cluster: config.name,
    target: request.target ?? { kind: 'latest' as const },
    restoreCommand: restoreCommand(room.scriptConfigPath),
    registry,
    scratchParent: absolutePath(request.scratch) ?? config.drill.directory ?? registry,
    pgBin: absolutePath(request.pgBin) ?? config.drill.pgBin,
    roles: user === undefined ? [] : [user],
    workers: request.workers,
  };
  return await jobs.start('drill', config.name, async (controls) => {
    const checks =
      request.checks?.map((check) => ({ ...check, database: check.database ?? database })) ??
      (await configuredChecks(config, database));
    await rebuildBegun(rooms, controls.signal);
    return await byKnown(rooms, await room.forRestore(), async (repositories) => {
      const record = await drill({ ...deps, repositories, tail: room.receiver?.tail }, { ...order, checks }, controls);
      return { drill: drillDocument(record) };
    });
  });
}

async function configuredChecks({ drill: { checks } }: ClusterConfig, database: string): Promise<readonly SqlCheck[]> {
  const read = async (file: string): Promise<string> => {
    try {
      return await readFile(file, 'utf8');
    } catch (error) {
      throw localIoError(error, `unable to read the check ${file} of drill_checks`);
    }
  };
  return await Promise.all(
    checks.map(parseDrillCheck).map(async (check) => ({
      name: check.file,
      database: check.database ?? database,
      sql: await read(check.file),
    })),
  );
}

function absolutePath(path: string | undefined): string | undefined {
  if (path === undefined || isAbsolute(path)) return path;
  throw new WaldenError('USAGE', `${JSON.stringify(path)} is not an absolute path`);
}
