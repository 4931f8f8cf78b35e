import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ClusterIdentity, ClusterName, WalFileRecord } from '../../../catalog/catalog.ts';
import { isWaldenError, localIoError, systemErrorCode } from '../../errors.ts';
import { inParallel } from '../../platform/in-parallel.ts';
import type { ControlFile } from '../../postgres/control-file.ts';
import { parseTimelineHistory } from '../../postgres/timeline-history.ts';
import {
  parseWalName,
  type ParsedWalName,
  segmentNumber,
  segmentNumberOfName,
  segmentStart,
} from '../../postgres/wal-name.ts';
import type { Repository } from '../../repository/repository.ts';
import { runOnObject } from '../../repository/run-on-object.ts';
import type { Ancestry } from '../../wal/path-coverage.ts';
import type { PlanDeps } from '../plan.ts';
import { interrupted } from '../in-flight.ts';
import { judgeSegments, type LostWal, type SeenSegment } from './judge-wal.ts';
import { knownElsewhere, type KnownElsewhere } from './known-wal.ts';
import { oldSegmentTask } from './old-segment-task.ts';
import { isWithUpstream, type SafeWal, safeUpTo } from './safe-wal.ts';
import { sameWalTask } from './same-wal-task.ts';

export interface OldWalPlace {
  readonly cluster: ClusterName;
  readonly identity: ClusterIdentity;
  readonly dataDirectory: string;
  readonly control: ControlFile;
  /** The server that is to be followed. */
  readonly upstream: SafeWal['upstream'];
}

/**
 * What the pg_wal of an old data directory has and nobody else: no repository, no spool of a receiver on this host, nor the
 * server that is to be followed. What is older than every backup, or was removed by retention, is missed by nobody.
 * Changes nothing.
 * @throws LOCAL_IO, INTERRUPTED, and what asking the catalog and listing the repositories throws
 */
export async function findLostWal(
  deps: PlanDeps,
  place: OldWalPlace,
  signal: AbortSignal,
): Promise<readonly LostWal[]> {
  const { identity } = place;
  const listed = await listWal(place.dataDirectory);
  const known = await knownElsewhere(deps, place.cluster, identity, signal);
  const wanted = listed.files.filter((file) => !isOfNoUse(file, known, identity));
  const safe: SafeWal = {
    segmentBytes: identity.segmentBytes,
    upstream: place.upstream,
    histories: [...known.histories, ...listed.histories],
    tails: known.tails,
    isCovered: (other) =>
      known.holds(other) || wanted.some((file) => file.kind === 'segment' && isAt(file, other, identity)),
  };
  const seen: SeenSegment[] = [];
  const others: LostWal[] = [];
  await inParallel(wanted, deps.pool.threads, async (file) => {
    if (signal.aborted) throw interrupted(signal);
    const records = await storedAs(deps, place.cluster, known, file);
    if (file.kind === 'segment')
      seen.push(await look(deps, place, { file, records, safe, ready: listed.ready }, signal));
    else if (records.length === 0 && listed.ready.has(file.name)) others.push(notArchived(file));
  });
  const lost = [...others, ...judgeSegments(seen, identity.segmentBytes)];
  return lost.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** A history file or a `.partial` one that waits for its archiving. */
function notArchived({ name }: ParsedWalName): LostWal {
  return { name, kind: 'file', transactions: 0, last: undefined, words: '' };
}

interface ListedWal {
  readonly files: readonly ParsedWalName[];
  /** Names that PostgreSQL wants archived. */
  readonly ready: ReadonlySet<string>;
  readonly histories: readonly Ancestry[];
}

async function listWal(dataDirectory: string): Promise<ListedWal> {
  const directory = join(dataDirectory, 'pg_wal');
  const files = (await namesIn(directory)).flatMap(parsed).filter(({ kind }) => kind !== 'backup');
  const ready = (await namesIn(join(directory, 'archive_status')))
    .filter((name) => name.endsWith('.ready'))
    .map((name) => name.slice(0, -'.ready'.length));
  const histories: Ancestry[] = [];
  for (const { name, kind, timeline } of files) {
    if (kind !== 'history') continue;
    try {
      histories.push(parseTimelineHistory(await readFile(join(directory, name), 'utf8'), timeline));
    } catch (error) {
      // One that cannot be read makes nothing safe.
      if (!isWaldenError(error, 'FORMAT_INVALID')) throw localIoError(error, `unable to read ${name} in ${directory}`);
    }
  }
  return { files, ready: new Set(ready), histories };
}

async function namesIn(directory: string): Promise<readonly string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return [];
    throw localIoError(error, `unable to list ${directory}`);
  }
}

/** Nothing for what is no WAL file. */
function parsed(name: string): readonly ParsedWalName[] {
  try {
    return [parseWalName(name)];
  } catch (error) {
    if (!isWaldenError(error, 'FORMAT_INVALID')) throw error;
    return [];
  }
}

function isAt(
  { segment, timeline }: ParsedWalName,
  place: { readonly timeline: number; readonly segment: bigint },
  { segmentBytes }: ClusterIdentity,
): boolean {
  return (
    segment !== undefined && timeline === place.timeline && segmentNumberOfName(segment, segmentBytes) === place.segment
  );
}

/** Older than the oldest backup, or expired; or of a name that cannot exist here. */
function isOfNoUse(file: ParsedWalName, known: KnownElsewhere, { segmentBytes }: ClusterIdentity): boolean {
  const { segment: name, timeline } = file;
  if (name === undefined) return false;
  try {
    const segment = segmentNumberOfName(name, segmentBytes);
    return segment < known.neededFrom || known.isExpired({ timeline, segment });
  } catch (error) {
    if (!isWaldenError(error, 'FORMAT_INVALID')) throw error;
    return true;
  }
}

interface StoredRecord {
  readonly repository: Repository;
  readonly record: WalFileRecord;
}

async function storedAs(
  { catalog, repositories }: PlanDeps,
  cluster: ClusterName,
  known: KnownElsewhere,
  { name }: ParsedWalName,
): Promise<readonly StoredRecord[]> {
  const found: StoredRecord[] = [];
  for (const repository of repositories) {
    const record = await catalog.walFile(repository.name, cluster, name);
    if (record !== undefined && !known.isDamaged(repository.name, record.key)) found.push({ repository, record });
  }
  return found;
}

async function look(
  deps: PlanDeps,
  { dataDirectory, identity, control }: OldWalPlace,
  sought: {
    readonly file: ParsedWalName;
    readonly records: readonly StoredRecord[];
    readonly safe: SafeWal;
    readonly ready: ReadonlySet<string>;
  },
  signal: AbortSignal,
): Promise<SeenSegment> {
  const { file, records, safe } = sought;
  const { name, timeline } = file;
  const segment = segmentNumberOfName(name, identity.segmentBytes);
  const path = join(dataDirectory, 'pg_wal', name);
  const upTo = safeUpTo(safe, { timeline, segment });
  const stored = records.map(({ record }) => record.sha256);
  const found = await deps.pool.run(oldSegmentTask, { path, identity, timeline, segment, stored, safe: upTo });
  const length = Number(found.end - segmentStart(segment, identity.segmentBytes));
  return {
    ...{ name, timeline, segment, found, safe: upTo },
    isNameTaken: records.length > 0,
    isPrefixOfStored: found.kind === 'unfinished' && (await beginsAsAny(deps, records, { path, length, signal })),
    isWithUpstream: isWithUpstream(safe, { timeline, segment }),
    isReady: sought.ready.has(name),
    isWritten: timeline === control.timeline && segment <= segmentNumber(control.checkpoint, identity.segmentBytes),
  };
}

/** Of a standby that was stopped in a segment, say, which its primary has archived since. */
async function beginsAsAny(
  { pool }: PlanDeps,
  records: readonly StoredRecord[],
  { path, length, signal }: { readonly path: string; readonly length: number; readonly signal: AbortSignal },
): Promise<boolean> {
  for (const { repository, record } of records) {
    const object = `${record.key} of repository ${repository.name}`;
    const part = { driver: repository.driver, key: record.key, signal };
    try {
      if (await runOnObject(pool, sameWalTask, part, (bytes) => ({ bytes, object, path, length }))) return true;
    } catch (error) {
      // What cannot be read there is no proof: then the directory's own copy counts as the only one.
      if (signal.aborted || !isWaldenError(error) || error.code === 'LOCAL_IO') throw error;
    }
  }
  return false;
}
