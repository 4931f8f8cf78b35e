import { execFile } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { isWaldenError, WaldenError } from '../errors.ts';
import type { Clock } from '../platform/clock.ts';
import { postmasterPlace } from '../postgres/postmaster-place.ts';
import { openSession } from '../postgres/session.ts';
import { runningPostmaster } from './running-process.ts';
import { lastWords } from './server-log.ts';

const POLL_MS = 250;
const QUERY_TIMEOUT_MS = 10_000;
/** Beside what pg_ctl waits itself. */
const PG_CTL_GRACE_MS = 30_000;

export interface StartOrder {
  readonly pgCtl: string;
  readonly dataDirectory: string;
  /** For all of it: until it takes connections, and until it streams. */
  readonly waitSeconds: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

export interface StartedStandby {
  /** Of the postmaster. */
  readonly pid: number;
  readonly port: number;
  readonly log: string;
  /** `receiving`: a WAL receiver runs, and the role that asked may not see what it does. */
  readonly state: 'streaming' | 'receiving';
}

/** PostgreSQL refuses to run as root. @throws USAGE */
export function assertMayStart(): void {
  if (process.getuid?.() !== 0) return;
  throw new WaldenError('USAGE', 'PostgreSQL does not run as root, and --start would start it as root', {
    hint: 'run this as the user of PostgreSQL (sudo -u postgres …), or leave --start out',
  });
}

/**
 * Starts a standby and waits until it streams. It runs on whatever comes of the waiting.
 * @throws STANDBY_NOT_READY: it did not start, does not stream yet, or cannot be asked; INTERRUPTED
 */
export async function startStandby(order: StartOrder): Promise<StartedStandby> {
  const { dataDirectory, clock, waitSeconds } = order;
  await assertOwner(dataDirectory);
  const deadline = clock.now().getTime() + waitSeconds * 1000;
  const log = join(dataDirectory, 'walden-start.log');
  await runPgCtl(order, log);
  const pid = await runningPostmaster(dataDirectory);
  const place = await postmasterPlace(dataDirectory);
  if (pid === undefined || place === undefined) throw await notStarted(dataDirectory, log);
  for (;;) {
    const asked = await askStandby(place.conninfo);
    if (asked.state !== 'replaying') return { pid, port: place.port, log, state: asked.state };
    if (isRefused(asked.trouble) || clock.now().getTime() >= deadline) throw notStreaming(order, asked.trouble);
    await clock.sleep(POLL_MS, order.signal);
  }
}

/** The service may have made it as another user, as whom alone PostgreSQL runs there. */
async function assertOwner(dataDirectory: string): Promise<void> {
  const { uid } = await stat(dataDirectory);
  if (uid === process.getuid?.()) return;
  throw new WaldenError('STANDBY_NOT_READY', `the standby was not started: ${dataDirectory} belongs to another user`, {
    hint: `start it as its owner: sudo -u '#${uid}' pg_ctl -D ${dataDirectory} start`,
  });
}

async function runPgCtl({ pgCtl, dataDirectory, waitSeconds, signal }: StartOrder, log: string): Promise<void> {
  const words = ['-D', dataDirectory, '-l', log, '-w', '-t', waitSeconds.toString(), '-s', 'start'];
  try {
    await promisify(execFile)(pgCtl, words, { timeout: waitSeconds * 1000 + PG_CTL_GRACE_MS, signal });
  } catch (cause) {
    signal.throwIfAborted();
    if ((await runningPostmaster(dataDirectory)) === undefined) throw await notStarted(dataDirectory, log, cause);
    throw new WaldenError(
      'STANDBY_NOT_READY',
      `the standby was started, and takes no connections after ${waitSeconds} s: it replays WAL of the archive`,
      { hint: `it goes on by itself; look into its log, ${log}`, details: { log }, cause },
    );
  }
}

async function notStarted(dataDirectory: string, log: string, cause?: unknown): Promise<WaldenError> {
  return new WaldenError(
    'STANDBY_NOT_READY',
    `the standby in ${dataDirectory} did not start: ${await lastWords(log, cause)}`,
    {
      hint: `the directory is complete: put right what its log says (${log}), and start it with pg_ctl`,
      details: { log },
      cause,
    },
  );
}

/** Class 28 (errcodes.txt): no such role, or it may not log in. Waiting changes nothing about that. */
function isRefused(trouble: WaldenError | undefined): boolean {
  const sqlstate = trouble?.details['sqlstate'];
  return typeof sqlstate === 'string' && sqlstate.startsWith('28');
}

interface Asked {
  readonly state: StartedStandby['state'] | 'replaying';
  /** Why it could not be asked. */
  readonly trouble: WaldenError | undefined;
}

async function askStandby(conninfo: string): Promise<Asked> {
  try {
    const session = await openSession(conninfo, { timeoutMs: QUERY_TIMEOUT_MS });
    try {
      // One row while a WAL receiver runs; a role that may not see more gets its process id alone.
      const [row] = await session.query('select status from pg_stat_wal_receiver where pid is not null');
      if (row === undefined) return { state: 'replaying', trouble: undefined };
      const status = row['status'];
      return {
        state: status === 'streaming' ? 'streaming' : status === null ? 'receiving' : 'replaying',
        trouble: undefined,
      };
    } finally {
      await session.close();
    }
  } catch (error) {
    if (!isWaldenError(error, 'SERVER_UNREACHABLE', 'SERVER_QUERY')) throw error;
    return { state: 'replaying', trouble: error };
  }
}

function notStreaming({ waitSeconds, dataDirectory }: StartOrder, trouble: WaldenError | undefined): WaldenError {
  const log = join(dataDirectory, 'walden-start.log');
  if (trouble === undefined) {
    return new WaldenError('STANDBY_NOT_READY', `the standby runs, and does not stream after ${waitSeconds} s`, {
      hint: `it replays the archive first; if it goes on so, its log says why: ${log}`,
      details: { log },
    });
  }
  return new WaldenError(
    'STANDBY_NOT_READY',
    `the standby runs, and whether it streams is not known, since it cannot be asked: ${trouble.message}`,
    {
      hint: 'look at pg_stat_replication on the primary; PGUSER names a role that may log in here',
      details: { log },
      cause: trouble,
    },
  );
}
