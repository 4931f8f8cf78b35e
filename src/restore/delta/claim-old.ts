import { readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { ClusterIdentity } from '../../../catalog/catalog.ts';
import { WaldenError } from '../../errors.ts';
import { syncDirectory } from '../../platform/files.ts';
import { CONTROL_FILE, retiredControlFile } from '../places.ts';
import {
  asLocalError,
  assertNoServer,
  type MarkerFacts,
  type Owner,
  placeMarkers,
  removeMarkers,
  type RestoreTarget,
} from '../target-directory.ts';
import { lookAtOldDirectory, type OldDirectory } from './old-directory.ts';

/**
 * Takes an old directory for a restore: puts the marker into it, and then takes its pg_control away, both durably, so that it
 * cannot be started from here on. Nothing else is changed. Call `release` as that of claimTarget.
 * @param old what was found before. @throws as lookAtOldDirectory; SERVER_RUNNING also when a server ran there since
 */
export async function claimOldDirectory(
  target: RestoreTarget,
  facts: Omit<MarkerFacts, 'delta'>,
  owner: Owner | undefined,
  { old, identity }: { readonly old: OldDirectory; readonly identity: ClusterIdentity },
): Promise<() => void> {
  assertSame(target, old, await lookAtOldDirectory(target, identity));
  const delta = { systemIdentifier: identity.systemIdentifier };
  const release = await placeMarkers(target, { ...facts, delta }, owner, () => Promise.resolve());
  try {
    if (old.kind === 'data directory') await retireControlFile(target, old.control);
    return release;
  } catch (error) {
    release();
    throw asLocalError(error, `unable to prepare ${target.dataDirectory}`);
  }
}

function assertSame(target: RestoreTarget, old: OldDirectory, now: OldDirectory | undefined): void {
  if (old.kind === 'interrupted' && now?.kind === 'interrupted') return;
  if (old.kind === 'data directory' && now?.kind === 'data directory' && old.control.equals(now.control)) return;
  throw ranMeanwhile(target);
}

/**
 * A server makes postmaster.pid before it reads pg_control (PostmasterMain): one that got hold of it shows, and one that
 * comes later does not start. If one was here since, its WAL may be more than was looked at.
 */
async function retireControlFile(target: RestoreTarget, control: Buffer): Promise<void> {
  const { dataDirectory } = target;
  const [current, retired] = [join(dataDirectory, CONTROL_FILE), retiredControlFile(dataDirectory)];
  await rename(current, retired);
  try {
    await syncDirectory(join(dataDirectory, 'global'));
    await assertNoServer(dataDirectory);
    if (!(await readFile(retired)).equals(control)) throw ranMeanwhile(target);
  } catch (error) {
    await rename(retired, current);
    await syncDirectory(join(dataDirectory, 'global'));
    await removeMarkers(target);
    throw error;
  }
}

function ranMeanwhile({ dataDirectory }: RestoreTarget): WaldenError {
  return new WaldenError('SERVER_RUNNING', `something changed ${dataDirectory} since it was looked at`, {
    hint: 'see that no server uses it, and begin again',
  });
}
