import { dirname } from 'node:path';
import type { JobListDocument } from '../../src/service/watch-api.ts';
import { ERRORS } from '../../src/errors.ts';
import { startRestored } from '../support/postgres-server.ts';
import { removeDirectory } from '../support/sandbox.ts';
import { assertSound, freshTarget } from '../support/scene.ts';
import { until } from '../support/until.ts';
import type { Outcome, RunningProgram, WaldenHarness } from '../support/walden.ts';
import type { Victim } from './victims.ts';
import { assertTransfers, backupsOf, sureTransfers, type World } from './world.ts';

const JOB_DEADLINE_MS = 120_000;
const RECOVERY_DEADLINE_MS = 300_000;

export type Errand = 'backup' | 'restore' | 'offline restore';

/** A command of the operator's that is under way. */
export interface RunningErrand {
  kill(): boolean;
  /** Waits for its end and judges what came of it, knowing who was killed meanwhile. @throws Error */
  end(killed: readonly Victim[]): Promise<void>;
}

/** Whose death each command may fail of. */
const EXCUSES: Readonly<Record<Errand, readonly Victim[]>> = {
  backup: ['backup', 'service', 'postmaster', 'archiver'],
  restore: ['restore', 'service'],
  'offline restore': ['offline restore'],
};

export function startErrand(world: World, errand: Errand): RunningErrand {
  const started = Date.now();
  const done = (): void => {
    world.notes.usualMs.set(errand, Date.now() - started);
  };
  return errand === 'backup' ? startBackup(world, done) : startRestore(world, errand, done);
}

function launch(walden: WaldenHarness, words: readonly string[], done: () => void): RunningProgram {
  const program = walden.launch(...words);
  return {
    kill: () => program.kill(),
    outcome: program.outcome.then((ended) => {
      if (ended.status === 0) done();
      return ended;
    }),
  };
}

function startBackup({ scene, notes }: World, done: () => void): RunningErrand {
  const backup = launch(scene.walden, ['backup', 'main', '--json'], done);
  return {
    kill: () => backup.kill(),
    async end(killed) {
      const outcome = await backup.outcome;
      if (outcome.status === 0) notes.backups.push(...backupsOf(outcome.stdout));
      else assertExcused('backup', outcome, killed);
      await untilNoJobRuns(scene.walden);
    },
  };
}

function startRestore(world: World, errand: 'restore' | 'offline restore', done: () => void): RunningErrand {
  const { walden } = world.scene;
  const to = freshTarget();
  const sure = sureTransfers(world);
  const offline = errand === 'offline restore' ? ['--repository-path', walden.repositoryPath()] : [];
  const words = ['restore', 'main', '--to', to, ...offline];
  const restore = launch(walden, words, done);
  return {
    kill: () => restore.kill(),
    async end(killed) {
      const outcome = await restore.outcome;
      if (outcome.status !== 0) {
        assertExcused(errand, outcome, killed);
        await untilNoJobRuns(walden);
        await restoreAgain(walden, words);
      }
      await checkCopy(world, to, { sure });
    },
  };
}

/** Into the same directory, unless the service ended what its killed caller had begun. */
async function restoreAgain(walden: WaldenHarness, words: readonly string[]): Promise<void> {
  const again = await walden.attempt(...words);
  if (again.status !== 0 && again.status !== ERRORS.PATH_NOT_EMPTY.exit) {
    throw new Error(`walden ${words.join(' ')}, begun again: ${described(again)}`);
  }
}

/** Starts a restored directory, compares it, and throws it away. `compare` looks at the running copy too. */
export async function checkCopy(
  world: World,
  directory: string,
  expected: {
    readonly sure: number;
    readonly compare?: (copy: Awaited<ReturnType<typeof startRestored>>) => Promise<void>;
  },
): Promise<void> {
  const { version } = world.scene.server;
  // The command that an offline restore writes starts Node for each segment: too slow for so many.
  const { restoreCommand } = await world.scene.walden.commandSettings();
  const settings = { restore_command: restoreCommand };
  const copy = await startRestored(directory, { version, settings, deadlineMs: RECOVERY_DEADLINE_MS });
  try {
    await assertSound(copy);
    await assertTransfers(world, copy, expected.sure);
    await expected.compare?.(copy);
    world.notes.copies += 1;
  } finally {
    await copy.dispose();
    removeDirectory(dirname(directory));
  }
}

async function untilNoJobRuns(walden: WaldenHarness): Promise<void> {
  await until(
    async () => {
      const { jobs } = (await walden.json('job', 'list')) as JobListDocument;
      return jobs.every(({ state }) => state !== 'running');
    },
    { what: 'the jobs of the service to end', deadlineMs: JOB_DEADLINE_MS, everyMs: 200 },
  );
}

function assertExcused(errand: Errand, outcome: Outcome, killed: readonly Victim[]): void {
  if (killed.some((victim) => EXCUSES[errand].includes(victim))) return;
  throw new Error(`the ${errand} failed though nothing that it needs was killed: ${described(outcome)}`);
}

function described({ status, stdout, stderr }: Outcome): string {
  return `status ${status}\n${stdout}${stderr}`;
}
