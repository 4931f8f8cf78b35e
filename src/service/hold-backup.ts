import type { BackupId, BackupRecord } from '../../catalog/catalog.ts';
import { WaldenError } from '../errors.ts';
import { describeMicros, formatMicros, type Micros, microsFromDate } from '../postgres/timestamp.ts';
import { type HoldOrder, putHold, readHolds } from '../repository/hold-file.ts';
import { backupId } from '../repository/names.ts';
import { parseTargetTime } from '../restore/target-time.ts';
import { findBackup } from './answers/backups.ts';
import type { ClusterRoom } from './cluster-room.ts';
import type { HoldDocument, HoldRequest } from './retention-api.ts';
import { assertCatalogWhole, type ServiceRooms } from './rooms.ts';

/**
 * Has a backup kept, in every repository that has it and may be written to, whatever retention says.
 * @throws NOT_FOUND, BACKUP_INVALID (it is not complete anywhere), USAGE, LOCK_HELD while an expiry runs, as the stores
 */
export async function keepBackup(
  rooms: ServiceRooms,
  room: ClusterRoom,
  backup: string,
  { until: words, reason }: HoldRequest,
): Promise<HoldDocument> {
  const now = microsFromDate(rooms.deps.clock.now());
  const target = words === undefined ? undefined : parseTargetTime(words, now);
  const until = target?.time;
  if (until !== undefined && until <= now) {
    throw new WaldenError('USAGE', `${describeMicros(until)} is past: the backup would not be held at all`);
  }
  const document = await change(rooms, room, backup, { action: 'keep', until, reason }, now);
  return { ...document, notes: [...(target?.notes ?? []), ...document.notes] };
}

/** Leaves a backup to retention again. @throws as keepBackup */
export async function releaseBackup(rooms: ServiceRooms, room: ClusterRoom, backup: string): Promise<HoldDocument> {
  return await change(rooms, room, backup, { action: 'release' }, microsFromDate(rooms.deps.clock.now()));
}

async function change(
  rooms: ServiceRooms,
  room: ClusterRoom,
  words: string,
  order: HoldOrder,
  now: Micros,
): Promise<HoldDocument> {
  assertCatalogWhole(rooms);
  const { catalog } = rooms.deps;
  const cluster = room.config.name;
  const free = rooms.jobs.claim({ kind: 'hold', cluster });
  try {
    const id = words === 'latest' ? (await findBackup(catalog, cluster, words)).id : backupId(words);
    const holders = await holdersOf(rooms, room, id);
    const changed: string[] = [];
    const notes: string[] = [];
    for (const repository of room.repositories.filter(({ name }) => holders.includes(name))) {
      const { name } = repository;
      if (rooms.deps.config.repositories.get(name)?.access === 'read-only') {
        notes.push(`repository ${name} is read-only here: this service removes nothing from it, others may`);
        continue;
      }
      if (order.action === 'release' && !(await isHeldIn(repository, cluster, id))) continue;
      await putHold(repository, cluster, id, order, now);
      if (order.action === 'release') await catalog.forgetHold(name, cluster, id);
      else
        await catalog.recordHold({
          repository: name,
          cluster,
          backup: id,
          since: now,
          until: order.until,
          reason: order.reason,
        });
      changed.push(name);
    }
    const { until, reason } = order.action === 'keep' ? order : { until: undefined, reason: undefined };
    return {
      ...{ cluster, backup: id, repositories: changed, notes },
      ...{ until: until === undefined ? null : formatMicros(until), reason: reason ?? null },
    };
  } finally {
    free();
  }
}

async function isHeldIn(
  repository: ClusterRoom['repositories'][number],
  cluster: ClusterRoom['config']['name'],
  id: BackupId,
): Promise<boolean> {
  return (await readHolds(repository, cluster)).some(({ backup }) => backup === id);
}

async function holdersOf(
  { deps }: ServiceRooms,
  room: ClusterRoom,
  id: BackupId,
): Promise<readonly BackupRecord['repository'][]> {
  await findBackup(deps.catalog, room.config.name, id);
  const rows = (await deps.catalog.backups(room.config.name)).filter((row) => row.id === id);
  const complete = rows.filter(({ state }) => state === 'complete').map(({ repository }) => repository);
  if (complete.length > 0) return complete;
  throw new WaldenError('BACKUP_INVALID', `backup ${id} is ${rows[0]?.state ?? 'not complete'}: it cannot be held`);
}
