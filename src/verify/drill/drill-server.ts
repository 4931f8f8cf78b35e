import { spawn, type ChildProcess } from 'node:child_process';
import { open, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isWaldenError, WaldenError } from '../../errors.ts';
import type { Clock } from '../../platform/clock.ts';
import { openSession, type Session } from '../../postgres/session.ts';
import { lastWords } from '../../restore/server-log.ts';
import { exists } from '../../restore/target-directory.ts';
import { drillSettings } from './drill-settings.ts';
import type { Scratch } from './scratch.ts';

const POLL_MS = 250;
/** Recovery in which nothing moves for so long has failed. */
const STALL_MS = 3_600_000;
const STOP_DEADLINE_MS = 60_000;
const QUERY_TIMEOUT_MS = 3_600_000;
const NICENESS = '10';

export interface ServerOrder {
  readonly scratch: Scratch;
  readonly pgCtl: string;
  readonly majorVersion: number;
  /** Who may be a role of the cluster, for the first question. */
  readonly roles: readonly string[];
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** The server of a drill. It runs until `stop`, and is not to be reached but through its directory. */
export class DrillServer {
  readonly #order: ServerOrder;
  readonly #log: string;
  #child: ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();
  #failure: Error | undefined;

  constructor(order: ServerOrder) {
    this.#order = order;
    this.#log = join(order.scratch.directory, 'server.log');
  }

  /** @throws USAGE as root, LOCAL_IO */
  async start(): Promise<void> {
    const { scratch, pgCtl, majorVersion } = this.#order;
    const { directory, dataDirectory } = scratch;
    const hbaFile = join(directory, 'pg_hba.conf');
    const identFile = join(directory, 'pg_ident.conf');
    // Who may enter the directory may ask: it is the service's own.
    await writeFile(hbaFile, 'local all all trust\n');
    await writeFile(identFile, '');
    const configuration = join(dataDirectory, 'postgresql.conf');
    // Debian keeps it elsewhere. Without it prepared transactions would have no room.
    if (!(await exists(configuration))) await writeFile(configuration, 'max_prepared_transactions = 1000\n');
    const places = { dataDirectory, socketDirectory: directory, hbaFile, identFile };
    const settings = drillSettings(places, majorVersion).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const log = await open(this.#log, 'a', 0o600);
    try {
      // Others come first. nice(1) becomes the program that it starts.
      const words = ['-n', NICENESS, join(dirname(pgCtl), 'postgres'), '-D', dataDirectory, ...settings];
      const child = spawn('nice', words, { stdio: ['ignore', log.fd, log.fd], cwd: directory, detached: true });
      this.#child = child;
      this.#ended = new Promise((resolve) => {
        child.once('error', (error) => {
          this.#failure = error;
          this.#child = undefined;
          resolve();
        });
        child.once('exit', () => {
          this.#child = undefined;
          resolve();
        });
      });
    } finally {
      await log.close();
    }
  }

  /**
   * Waits until it takes connections, which without hot_standby is when recovery has ended.
   * @returns the conninfo of a superuser, without a database
   * @throws DRILL_FAILED when it ends before, or nothing moves for an hour; INTERRUPTED
   */
  async recovered(onRestored: (segments: number) => void): Promise<string> {
    const { clock, signal } = this.#order;
    let segments = -1;
    let movedAt = clock.now().getTime();
    for (;;) {
      signal.throwIfAborted();
      if (this.#child === undefined) {
        const words = await lastWords(this.#log, this.#failure);
        throw new WaldenError('DRILL_FAILED', `the restored server did not recover: ${words}`);
      }
      const superuser = await this.#superuser();
      if (superuser !== undefined) return superuser;
      const restored = await this.#restoredSegments();
      if (restored !== segments) movedAt = clock.now().getTime();
      else if (clock.now().getTime() - movedAt > STALL_MS) {
        const words = await lastWords(this.#log, undefined);
        throw new WaldenError('DRILL_FAILED', `recovery has not moved for an hour; the server said last: ${words}`);
      }
      segments = restored;
      onRestored(segments);
      await clock.sleep(POLL_MS, signal);
    }
  }

  /** A session of a superuser. The caller closes it. */
  session(superuser: string, database: string): Promise<Session> {
    return openSession(`${superuser} dbname=${quoted(database)}`, { timeoutMs: QUERY_TIMEOUT_MS });
  }

  /** At once, and whatever state it is in: nothing of it is kept. */
  async stop(): Promise<void> {
    const { clock } = this.#order;
    this.#child?.kill('SIGQUIT');
    const deadline = clock.now().getTime() + STOP_DEADLINE_MS;
    while (this.#child !== undefined) {
      if (clock.now().getTime() > deadline) this.#child.kill('SIGKILL');
      await Promise.race([this.#ended, clock.sleep(POLL_MS)]);
    }
  }

  /** The startup process writes a line for each WAL file that restore_command gave (RestoreArchivedFile). */
  async #restoredSegments(): Promise<number> {
    const text = await readFile(this.#log, 'utf8');
    return text.match(/restored log file "[0-9A-F]{24}"/g)?.length ?? 0;
  }

  /** The bootstrap superuser, whatever it is called, by whichever role may ask; undefined: nobody can be asked yet. */
  async #superuser(): Promise<string | undefined> {
    const { scratch, roles } = this.#order;
    const place = `host=${quoted(scratch.directory)} port=5432`;
    for (const role of roles) {
      try {
        const session = await openSession(`${place} user=${quoted(role)} dbname=template1`, { timeoutMs: 60_000 });
        try {
          const [row] = await session.query('select rolname::text as name from pg_roles where oid = 10');
          return `${place} user=${quoted(String(row?.['name']))}`;
        } finally {
          await session.close();
        }
      } catch (error) {
        if (!isWaldenError(error, 'SERVER_UNREACHABLE')) throw error;
        // Class 28: there is no such role. Anything else: it does not listen, or recovers.
        const { sqlstate } = error.details;
        if (typeof sqlstate !== 'string' || !sqlstate.startsWith('28')) return undefined;
      }
    }
    throw new WaldenError('DRILL_FAILED', `the restored cluster has none of the roles ${roles.join(', ')}`, {
      hint: 'name a role of it in conninfo',
    });
  }
}

/** A value of a conninfo. */
export function quoted(text: string): string {
  return `'${text.replaceAll(/['\\]/g, String.raw`\$&`)}'`;
}
