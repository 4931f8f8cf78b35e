import { switchSegment, isArchived } from '../support/archiving.ts';
import { type Load, nameOf, startLoad, transfersIn } from '../support/load.ts';
import type { PostgresVersion } from '../support/postgres-binaries.ts';
import type { TestServer } from '../support/postgres-server.ts';
import { restoreAndStart, type Scene, startScene } from '../support/scene.ts';
import { Chances } from './chances.ts';
import type { Errand } from './errands.ts';

/** Everything that lives while the soak runs, and what was seen so far. */
export interface World {
  readonly scene: Scene;
  /** Follows by restore_command alone. */
  readonly standby: TestServer;
  readonly load: Load;
  readonly chances: Chances;
  readonly notes: Notes;
}

/** What was done, and what did not hold. */
export interface Notes {
  readonly kills: Map<string, number>;
  readonly problems: string[];
  /** Ids of the backups that `walden backup` reported as done. */
  readonly backups: string[];
  /** Copies that were restored, started and looked at. */
  copies: number;
  readonly watermarks: Watermark[];
  /** How long the last one of each kind took that nobody killed, so that the next is killed within it. */
  readonly usualMs: Map<Errand, number>;
}

/** The first `acknowledged` transfers were committed before the end of `segment`. */
interface Watermark {
  readonly acknowledged: number;
  readonly segment: string;
}

export async function openWorld(options: { readonly version: PostgresVersion; readonly seed: number }): Promise<World> {
  const scene = await startScene({
    version: options.version,
    initdbArguments: ['--wal-segsize=1', '-k'],
    settings: { checkpoint_timeout: '30s' },
    walden: { clusterSettings: ['wal_fetch_timeout = 5'] },
  });
  const backups = await reportedBackups(scene);
  const standby = await restoreAndStart(scene, ['--standby'], {
    waitFor: 'accepting',
    settings: { wal_retrieve_retry_interval: '200ms' },
  });
  const load = await startLoad(scene.server, { reconnect: true });
  const notes: Notes = { kills: new Map(), problems: [], backups, copies: 0, watermarks: [], usualMs: new Map() };
  return { scene, standby, load, chances: new Chances(options.seed), notes };
}

async function reportedBackups({ walden }: Scene): Promise<string[]> {
  return [...backupsOf(await walden.run('backup', 'main', '--json'))];
}

/** The ids in what `walden backup --json` printed. */
export function backupsOf(stdout: string): readonly string[] {
  const { job } = JSON.parse(stdout) as { job: { result: { backups: readonly { id: string }[] } } };
  return job.result.backups.map(({ id }) => id);
}

export async function closeWorld({ scene, standby, load }: World): Promise<void> {
  await Promise.allSettled([load.stop({ tolerant: true })]);
  await standby.dispose();
  await scene.dispose();
}

/** Runs a check; what it throws is a problem of the product, and the soak goes on to find more. */
export async function hold({ notes }: World, what: string, check: () => Promise<void>): Promise<void> {
  try {
    await check();
  } catch (error) {
    notes.problems.push(`${what}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Ends a segment behind everything that is acknowledged now. */
export async function leaveWatermark({ scene, load, notes }: World): Promise<void> {
  const acknowledged = load.acknowledged.length;
  notes.watermarks.push({ acknowledged, segment: await switchSegment(scene.server) });
}

/** How many transfers, in the order of their answers, every copy must hold that is restored from now on. */
export function sureTransfers({ scene, notes }: World): number {
  return notes.watermarks.findLast(({ segment }) => isArchived(scene.server, segment))?.acknowledged ?? 0;
}

/** @throws Error unless the first `sure` acknowledged transfers are there, and nothing that was never attempted */
export async function assertTransfers({ load }: World, copy: TestServer, sure: number): Promise<void> {
  const held = await transfersIn(copy);
  const lost = load.acknowledged
    .slice(0, sure)
    .map(nameOf)
    .filter((name) => !held.has(name));
  const invented = [...held].filter((name) => !load.attempted.has(name));
  if (lost.length === 0 && invented.length === 0) return;
  const few = (names: readonly string[]): string => `${names.length} (${names.slice(0, 5).join(', ')})`;
  throw new Error(
    `of ${sure} acknowledged transfers ${few(lost)} are lost; ${few(invented)} of ${held.size} were never attempted`,
  );
}
