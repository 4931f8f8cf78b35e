import { isDeepStrictEqual } from 'node:util';
import type { BackupRecord, Catalog, ClusterName, HoldRecord, WalFileRecord } from '../../catalog/catalog.ts';
import type { CatalogReplacement } from '../../catalog/replacement.ts';
import type { Repository } from './repository.ts';

export interface CatalogComparison {
  readonly before: Catalog;
  readonly after: Catalog;
  readonly repositories: readonly Repository[];
  readonly clusters: readonly ClusterName[];
  /** Whether an entry changed in `before` while `after` was filled: that is no difference. */
  readonly changed?: CatalogReplacement['changedMeanwhile'] | undefined;
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
  const { before, after, repositories, clusters, changed = () => false } = comparison;
  for (const cluster of clusters) {
    const [old, now] = [await before.clusterIdentity(cluster), await after.clusterIdentity(cluster)];
    // A cluster that has archived nothing yet is in no repository.
    if (now !== undefined && !isDeepStrictEqual(old, now)) {
      yield old === undefined ? `cluster ${cluster} was not known` : `cluster ${cluster} was known as another one`;
    }
    for (const { name } of repositories) {
      const place = { cluster, repository: name };
      const [files, filesNow] = [before.walFiles(name, cluster), after.walFiles(name, cluster)];
      for await (const pair of pairsByName(files, filesNow)) {
        if (!changed(name, cluster, (pair.old ?? pair.now).name)) yield* walDifference(pair, place);
      }
      const unchanged = (row: BackupRecord): boolean => row.repository === name && !changed(name, cluster, row.id);
      const backups = (await before.backups(cluster)).filter(unchanged);
      yield* backupDifferences(backups, (await after.backups(cluster)).filter(unchanged), place);
      const known = (hold: HoldRecord): boolean => hold.repository === name && !changed(name, cluster, hold.backup);
      const held = (await before.holds(cluster)).filter(known);
      yield* holdDifferences(held, (await after.holds(cluster)).filter(known), place);
      if (!isDeepStrictEqual(await before.expired(name, cluster), await after.expired(name, cluster))) {
        yield `what retention removed of cluster ${cluster} from repository ${name} was known otherwise`;
      }
    }
  }
}

interface Place {
  readonly cluster: ClusterName;
  readonly repository: Repository['name'];
}

type Pair =
  | { readonly old: WalFileRecord; readonly now: WalFileRecord | undefined }
  | { readonly old: undefined; readonly now: WalFileRecord };

/** Both come in ascending order of name. */
async function* pairsByName(
  before: AsyncIterable<WalFileRecord>,
  after: AsyncIterable<WalFileRecord>,
): AsyncGenerator<Pair> {
  const [olds, nows] = [before[Symbol.asyncIterator](), after[Symbol.asyncIterator]()];
  let [old, now] = [await nextOf(olds), await nextOf(nows)];
  while (old !== undefined || now !== undefined) {
    if (old !== undefined && (now === undefined || old.name <= now.name)) {
      const same = now?.name === old.name;
      yield { old, now: same ? now : undefined };
      if (same) now = await nextOf(nows);
      old = await nextOf(olds);
    } else if (now !== undefined) {
      yield { old: undefined, now };
      now = await nextOf(nows);
    }
  }
}

async function nextOf(iterator: AsyncIterator<WalFileRecord>): Promise<WalFileRecord | undefined> {
  const result = await iterator.next();
  return result.done === true ? undefined : result.value;
}

function* walDifference({ old, now }: Pair, { cluster, repository }: Place): Generator<string> {
  const at = `of cluster ${cluster} in repository ${repository}`;
  if (old === undefined) yield `WAL file ${now.name} ${at} was not known`;
  else if (now === undefined) yield `WAL file ${old.name} ${at} is missing or damaged`;
  else yield* factsThatDiffer(`WAL file ${old.name} ${at}`, old, now);
}

function* backupDifferences(
  before: readonly BackupRecord[],
  after: readonly BackupRecord[],
  { cluster, repository }: Place,
): Generator<string> {
  const now = new Map(after.map((row) => [row.id, row]));
  const old = new Map(before.map((row) => [row.id, row]));
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

function* holdDifferences(
  before: readonly HoldRecord[],
  after: readonly HoldRecord[],
  { cluster, repository }: Place,
): Generator<string> {
  const [old, now] = [before, after].map((holds) => new Map(holds.map((hold) => [hold.backup, hold])));
  if (old === undefined || now === undefined) return;
  for (const id of [...new Set([...old.keys(), ...now.keys()])].sort()) {
    if (isDeepStrictEqual(old.get(id), now.get(id))) continue;
    yield `the hold of backup ${id} of cluster ${cluster} in repository ${repository} was known otherwise`;
  }
}

function* factsThatDiffer<T extends object>(what: string, old: T, now: T): Generator<string> {
  const keys = Object.keys(old) as (keyof T & string)[];
  const other = keys.filter((key) => !isDeepStrictEqual(old[key], now[key]));
  if (other.length > 0) yield `${what} was recorded otherwise: ${other.join(', ')}`;
}
