import { lstat, readdir, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { ClusterIdentity } from '../../../catalog/catalog.ts';
import { systemErrorCode, WaldenError } from '../../errors.ts';
import { parseControlFile, readControlFileBytes } from '../../postgres/control-file.ts';
import { CONTROL_FILE } from '../places.ts';
import {
  asLocalError,
  assertNoServer,
  assertNotFilled,
  checkTarget,
  type FoundDirectory,
  lookInto,
  type RestoreTarget,
} from '../target-directory.ts';

/**
 * The directories that a delta restore may change:
 *
 *   a data directory        has global/pg_control, of the same system identifier, major version and size of segments
 *   an interrupted restore  has a marker of Walden's for this very directory, of the same system identifier if it was a
 *                           delta restore, and no global/pg_control
 *   absent or empty         is restored into as without --delta
 *
 * and of the tablespaces, if they are not empty, those that pg_tblspc of this data directory links to, or that have a marker
 * for it. Anything else is refused, and nothing in it is touched.
 */
export type OldDirectory = OldDataDirectory | { readonly kind: 'interrupted' };

export interface OldDataDirectory {
  readonly kind: 'data directory';
  /** Its pg_control, as it was looked at. */
  readonly control: Buffer;
}

/**
 * Changes nothing.
 * @returns undefined when nothing is there
 * @throws PATH_NOT_EMPTY, SERVER_MISMATCH (another cluster's), SERVER_RUNNING, LOCK_HELD, FORMAT_INVALID, LOCAL_IO
 */
export async function lookAtOldDirectory(
  target: RestoreTarget,
  identity: ClusterIdentity,
): Promise<OldDirectory | undefined> {
  const { dataDirectory } = target;
  await assertNoServer(dataDirectory);
  const found = await lookInto(dataDirectory);
  if (found.isVacant) {
    await checkTarget(target);
    return undefined;
  }
  await assertNotFilled(dataDirectory, dataDirectory, found.marker);
  const old = await recognise(dataDirectory, found, identity);
  await assertWalDirectory(dataDirectory);
  const linked = await linkedTablespaces(dataDirectory);
  for (const directory of target.tablespaceDirectories) await assertOwn(directory, dataDirectory, linked);
  return old;
}

async function recognise(
  dataDirectory: string,
  { marker }: FoundDirectory,
  identity: ClusterIdentity,
): Promise<OldDirectory> {
  if (await hasControlFile(dataDirectory)) {
    const control = await readControlFileBytes(dataDirectory);
    assertSameCluster(control, dataDirectory, identity);
    return { kind: 'data directory', control };
  }
  if (marker?.dataDirectory !== dataDirectory) {
    throw new WaldenError('PATH_NOT_EMPTY', `${dataDirectory} is no data directory: it has no ${CONTROL_FILE}`, {
      hint: 'name a data directory of the cluster, or a new or empty one',
      details: { directory: dataDirectory },
    });
  }
  const { systemIdentifier = identity.systemIdentifier } = marker;
  if (systemIdentifier === identity.systemIdentifier) return { kind: 'interrupted' };
  throw new WaldenError(
    'SERVER_MISMATCH',
    `${dataDirectory} holds what an interrupted delta restore left of system identifier ${systemIdentifier}, and the backup has ${identity.systemIdentifier}`,
    { hint: 'name another directory, or another cluster' },
  );
}

/** Neither behind a link: what that leads to is not changed, and the server could be started all the same. */
async function hasControlFile(dataDirectory: string): Promise<boolean> {
  const [global, control] = [join(dataDirectory, 'global'), join(dataDirectory, CONTROL_FILE)];
  try {
    if ((await lstat(global)).isDirectory() && (await lstat(control)).isFile()) return true;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT' || systemErrorCode(error) === 'ENOTDIR') return false;
    throw asLocalError(error, `unable to look at ${control}`);
  }
  throw new WaldenError('PATH_NOT_EMPTY', `${control} is behind a link, or no file`, {
    hint: 'name a data directory of the cluster, or a new or empty one',
  });
}

function assertSameCluster(control: Buffer, dataDirectory: string, identity: ClusterIdentity): void {
  const found = parseControlFile(control, join(dataDirectory, CONTROL_FILE));
  const facts = [
    ['system identifier', found.systemIdentifier, identity.systemIdentifier],
    ['version', found.majorVersion, identity.majorVersion],
    ['segments of', found.segmentBytes, identity.segmentBytes],
  ] as const;
  for (const [what, there, wanted] of facts) {
    if (there === wanted) continue;
    throw new WaldenError('SERVER_MISMATCH', `${dataDirectory} has ${what} ${there}, and the backup has ${wanted}`, {
      hint: 'this is a data directory of another cluster: name another directory, or another cluster',
      details: { directory: dataDirectory },
    });
  }
}

/** initdb --waldir makes a link of it, which stays: what it leads to is emptied. */
async function assertWalDirectory(dataDirectory: string): Promise<void> {
  const path = join(dataDirectory, 'pg_wal');
  try {
    if ((await stat(path)).isDirectory()) return;
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw asLocalError(error, `unable to look at ${path}`);
    // An interrupted restore may not have come so far; a link that leads nowhere is another matter.
    const isThere = await lstat(path).then(
      () => true,
      () => false,
    );
    if (!isThere) return;
  }
  throw new WaldenError('PATH_NOT_EMPTY', `${path} does not lead to a directory`, {
    hint: 'put the link right (is a disk not mounted?), or remove it',
  });
}

/** What the links in pg_tblspc lead to. */
async function linkedTablespaces(dataDirectory: string): Promise<ReadonlySet<string>> {
  const directory = join(dataDirectory, 'pg_tblspc');
  const linked = new Set<string>();
  try {
    for (const entry of await readdir(directory, { withFileTypes: true })) {
      if (!entry.isSymbolicLink()) continue;
      const real = await realpath(join(directory, entry.name)).catch(() => undefined);
      // One that leads nowhere makes nothing this data directory's own.
      if (real !== undefined) linked.add(real);
    }
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw asLocalError(error, `unable to list ${directory}`);
  }
  return linked;
}

async function assertOwn(directory: string, dataDirectory: string, linked: ReadonlySet<string>): Promise<void> {
  const { isVacant, marker } = await lookInto(directory);
  if (marker?.dataDirectory === dataDirectory) {
    await assertNotFilled(directory, dataDirectory, marker);
    return;
  }
  if (isVacant && marker === undefined) return;
  if (marker === undefined && linked.has(await realpath(directory))) return;
  throw new WaldenError(
    'PATH_NOT_EMPTY',
    `${directory} is not empty, and no tablespace of ${dataDirectory}: nothing in its pg_tblspc leads there`,
    { hint: 'name another place with: --tablespace-map OLD=NEW', details: { directory } },
  );
}
