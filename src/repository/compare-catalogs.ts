import { isDeepStrictEqual } from 'node:util';
import type { BackupRecord, Catalog, ClusterName, WalFileRecord } from '../../catalog/catalog.ts';
import type { Micros } from '../postgres/timestamp.ts';
import type { Repository } from './repository.ts';

export interface CatalogComparison {
  readonly before: Catalog;
  readonly after: Catalog;
  readonly repositories: readonly Repository[];
  readonly clusters: readonly ClusterName[];
  /** What `before` recorded since then is no difference: `after` may have been read earlier. */
  readonly since?: Micros | undefined;
}

/** More are counted, not told one by one. */
const TOLD = 100;

/**
 * In words, what a rebuilt catalog says otherwise than the one before it. Empty: every question has the same answer.
 * Running and failed backups are no part of it, since a repository knows little of them.
 */
export async function compareCatalogs(comparison: CatalogComparison): Promise<readonly string[]> {
  const told: string[] = [];
  let more = 0;
  for await (const difference of differences(comparison)) {
    if (told.length < TOLD) told.push(difference);
    else more += 1;
  }
  return more === 0 ? told : [...told, `and ${more} more`];
}

async function* differences(comparison: CatalogComparison): AsyncGenerator<string> {
  const { before, after, repositories, clusters } = comparison;
  for (const cluster of clusters) {
    const [old, now] = [await before.clusterIdentity(cluster), await after.clusterIdentity(cluster)];
    // A cluster that has archived nothing yet is in no repository.
    if (now !== undefined && !isDeepStrictEqual(old, now)) {
      yield old === undefined ? `cluster ${cluster} was not known` : `cluster ${cluster} was known as another one`;
    }
    for (const { name } of repositories) {
      const place = { cluster, repository: name };
      const [files, filesNow] = [before.walFiles(name, cluster), after.walFiles(name, cluster)];
      for await (const pair of pairsByName(files, filesNow)) yield* walDifference(pair, place, comparison.since);
      yield* backupDifferences(await before.backups(cluster), await after.backups(cluster), place);
    }
  }
}

interface Place {
  readonly cluster: ClusterName;
  readonly repository: Repository['name'];
}

interface Pair {
  readonly old: WalFileRecord | undefined;
  readonly now: WalFileRecord | undefined;
}

/** Both come in ascending order of name. */
async function* pairsByName(
  before: AsyncIterable<WalFileRecord>,
  after: AsyncIterable<WalFileRecord>,
): AsyncGenerator<Pair> {
  const [olds, nows] = [before[Symbol.asyncIterator](), after[Symbol.asyncIterator]()];
  let [old, now] = [await nextOf(olds), await nextOf(nows)];
  while (old !== undefined || now !== undefined) {
    const order = old === undefined ? 1 : now === undefined || old.name < now.name ? -1 : old.name === now.name ? 0 : 1;
    yield { old: order <= 0 ? old : undefined, now: order >= 0 ? now : undefined };
    if (order <= 0) old = await nextOf(olds);
    if (order >= 0) now = await nextOf(nows);
  }
}

async function nextOf(iterator: AsyncIterator<WalFileRecord>): Promise<WalFileRecord | undefined> {
  const result = await iterator.next();
  return result.done === true ? undefined : result.value;
}

function* walDifference({ old, now }: Pair, place: Place, since: Micros | undefined): Generator<string> {
  const at = `of cluster ${place.cluster} in repository ${place.repository}`;
  if (old === undefined && now !== undefined) yield `WAL file ${now.name} ${at} was not known`;
  if (old === undefined || (since !== undefined && old.archivedAt >= since)) return;
  if (now === undefined) yield `WAL file ${old.name} ${at} is missing or damaged`;
  else yield* factsThatDiffer(`WAL file ${old.name} ${at}`, old, now);
}

function* backupDifferences(
  before: readonly BackupRecord[],
  after: readonly BackupRecord[],
  { cluster, repository }: Place,
): Generator<string> {
  const here = (row: BackupRecord): boolean => row.repository === repository;
  const now = new Map(after.filter(here).map((row) => [row.id, row]));
  const old = new Map(before.filter(here).map((row) => [row.id, row]));
  for (const id of [...new Set([...old.keys(), ...now.keys()])].sort()) {
    const [oldRow, nowRow] = [old.get(id), now.get(id)];
    const what = `backup ${id} of cluster ${cluster} in repository ${repository}`;
    if (oldRow?.state === 'complete' && nowRow?.state !== 'complete') yield `${what} is missing or damaged`;
    if (nowRow?.state !== 'complete' || oldRow?.state === 'running' || oldRow?.state === 'removing') continue;
    if (oldRow === undefined) yield `${what} was not known`;
    else if (oldRow.state === 'failed') yield `${what} was known as failed and is complete`;
    else yield* factsThatDiffer(what, oldRow, nowRow);
  }
}

function* factsThatDiffer<T extends object>(what: string, old: T, now: T): Generator<string> {
  const keys = Object.keys(old) as (keyof T & string)[];
  const other = keys.filter((key) => !isDeepStrictEqual(old[key], now[key]));
  if (other.length > 0) yield `${what} was recorded otherwise: ${other.join(', ')}`;
}
