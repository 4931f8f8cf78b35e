import { switchSegment } from '../support/archiving.ts';
import type { TestServer } from '../support/postgres-server.ts';
import { childrenOf, signalProcess } from '../support/processes.ts';
import { until } from '../support/until.ts';
import type { Errand, RunningErrand } from './errands.ts';
import type { World } from './world.ts';

/** The fast path of walden-push is over in a moment: it may never be seen. */
const SIGHTING_MS = 10_000;
const BACK_DEADLINE_MS = 60_000;

/** Who may be killed, each at any moment; an errand is what the operator's command line is doing. */
export const VICTIMS = [
  'service',
  'postmaster',
  'archiver',
  'push',
  'standby',
  'fetch',
  'backup',
  'restore',
  'offline restore',
] as const;
export type Victim = (typeof VICTIMS)[number];

export function isErrand(victim: Victim): victim is Errand {
  return victim === 'backup' || victim === 'restore' || victim === 'offline restore';
}

/** SIGKILL. Whether the victim was there to be killed. */
export async function kill(world: World, victim: Victim, errand: RunningErrand | undefined): Promise<boolean> {
  const { scene, standby } = world;
  switch (victim) {
    case 'service':
      await scene.walden.kill();
      return true;
    case 'postmaster':
      await scene.server.kill();
      return true;
    case 'standby':
      await standby.kill();
      return true;
    case 'archiver':
      return await killArchiver(scene.server);
    case 'push':
      return await killScript(world, scene.server, 'archiver');
    case 'fetch':
      return standby.running && (await killScript(world, standby, 'startup'));
    case 'backup':
    case 'restore':
    case 'offline restore':
      return errand?.kill() ?? false;
  }
}

/** PostgreSQL takes that for a crash and starts all of its processes anew. */
async function killArchiver(server: TestServer): Promise<boolean> {
  const pid = await pidOf(server, 'archiver');
  if (pid === undefined || !signalProcess(pid, 'SIGKILL')) return false;
  await until(async () => ![undefined, pid].includes(await pidOf(server, 'archiver')), {
    what: 'another archiver',
    deadlineMs: BACK_DEADLINE_MS,
    explain: () => server.log(),
  });
  return true;
}

/** One of the processes that archive_command or restore_command is at this moment: curl, or who called it. */
async function killScript({ chances }: World, server: TestServer, caller: 'archiver' | 'startup'): Promise<boolean> {
  const pid = await pidOf(server, caller);
  if (pid === undefined) return false;
  const wanted = chances.below(2);
  const deadline = Date.now() + SIGHTING_MS;
  const met = await until(
    async () => {
      if (Date.now() > deadline || !signalProcess(pid, 0)) return 'not met';
      // So that there is something to push.
      if (caller === 'archiver') await switchSegment(server);
      const chain = descendantsOf(pid);
      const found = chain[chain.length - 1 - wanted] ?? chain[0];
      return found !== undefined && signalProcess(found, 'SIGKILL') && 'killed';
    },
    { what: `a child of the ${caller}`, deadlineMs: 2 * SIGHTING_MS, everyMs: 2 },
  );
  return met === 'killed';
}

/** The chain of its children, the innermost last. */
function descendantsOf(pid: number): readonly number[] {
  const [child] = childrenOf(pid);
  return child === undefined ? [] : [child, ...descendantsOf(child)];
}

/** Undefined also while the server does not answer. */
async function pidOf(server: TestServer, backendType: string): Promise<number | undefined> {
  const rows = await server
    .query('select pid from pg_stat_activity where backend_type = $1', [backendType])
    .catch(() => undefined);
  const pid = rows?.[0]?.['pid'];
  return typeof pid === 'number' ? pid : undefined;
}

/** Has everything run again, the service first: without it a standby does not reach a consistent state. */
export async function revive({ scene: { server, walden }, standby }: World): Promise<void> {
  await Promise.all([walden.running ? undefined : walden.start(), server.running ? undefined : server.start()]);
  if (!standby.running) await standby.start('accepting');
}
