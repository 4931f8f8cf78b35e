import { type ChildProcess, spawn } from 'node:child_process';
import { appendFile, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { binDirectory, type PostgresVersion } from './postgres-binaries.ts';
import { newCluster } from './prepared-cluster.ts';
import { childrenOf, signalProcess } from './processes.ts';
import { newDirectory, removeDirectory, watchProcess } from './sandbox.ts';
import { until, within } from './until.ts';

const START_DEADLINE_MS = 180_000;
const STOP_DEADLINE_MS = 180_000;
const CONNECT_DEADLINE_MS = 60_000;
const LOG_TAIL_LINES = 40;

export type Settings = Readonly<Record<string, string | number>>;
export type Row = Readonly<Record<string, unknown>>;

export interface ServerOptions {
  readonly version: PostgresVersion;
  /** Lines for postgresql.conf; over those of {@link TEST_SETTINGS}. */
  readonly settings?: Settings;
  /** For example `--wal-segsize=1` or `-k`. */
  readonly initdbArguments?: readonly string[];
  /** Where it listens on 127.0.0.1 as well, for what only TCP can do; a unix socket only by default. */
  readonly tcpPort?: number;
  /** Where its programs stand; where `binDirectory` finds them by default. */
  readonly programs?: string;
}

export interface RestoredOptions {
  readonly version: PostgresVersion;
  /**
   * `promoted` (the default) waits until recovery has ended and the server takes writes, `accepting` until it answers
   * queries (a standby, or paused at its target).
   */
  readonly waitFor?: 'promoted' | 'accepting';
  /** On the command line, so over everything that stands in the directory. */
  readonly settings?: Settings;
  readonly deadlineMs?: number;
}

export type StopMode = 'smart' | 'fast' | 'immediate';

/** A real PostgreSQL that only this process can reach: a unix socket, no TCP, trust, the superuser `postgres`. */
export interface TestServer {
  readonly version: PostgresVersion;
  readonly dataDirectory: string;
  readonly socketDirectory: string;
  /** libpq's, for the database `postgres`. */
  readonly conninfo: string;
  readonly binDirectory: string;
  /** The postmaster, undefined while it does not run. */
  readonly pid: number | undefined;
  readonly running: boolean;
  /** On a connection of its own; 64-bit integers, LSNs and numerics come as text. */
  query(sql: string, parameters?: readonly unknown[]): Promise<readonly Row[]>;
  /** The first column of the only row, as text. */
  value(sql: string, parameters?: readonly unknown[]): Promise<string>;
  /** A connected client; the caller ends it. Its loss does not end the process. */
  client(): Promise<pg.Client>;
  /** Starts it again after stop() or kill() and waits until it answers. */
  start(waitFor?: 'promoted' | 'accepting'): Promise<void>;
  /** @throws Error when it does not end in time; it is killed then */
  stop(mode?: StopMode): Promise<void>;
  /** SIGKILL of the postmaster and of every process of it: what a power cut leaves, but for what the system had not written. */
  kill(): Promise<void>;
  /** Resolves with the exit status when the server that runs now has ended. */
  exited(): Promise<number | null>;
  /** Everything it ever wrote to its log. */
  log(): Promise<string>;
  /** stop('immediate') and removal of the directories that the harness made. */
  dispose(): Promise<void>;
}

/** What a test wants of a server: small, and without waits for the disk, since no test here cuts the power. */
export const TEST_SETTINGS: Settings = {
  fsync: 'off',
  shared_buffers: '32MB',
  max_connections: 40,
  max_wal_senders: 5,
  max_wal_size: '256MB',
  // A standby that has found nothing asks again after five seconds otherwise.
  wal_retrieve_retry_interval: '500ms',
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_line_prefix: '%m [%p] ',
  lc_messages: 'C',
};

/** A new cluster, started. Takes a second or two. */
export async function startServer(options: ServerOptions): Promise<TestServer> {
  const directory = newDirectory(`pg${options.version}-`);
  const dataDirectory = join(directory, 'data');
  await initialise(dataDirectory, options);
  const tcp = options.tcpPort === undefined ? {} : { listen_addresses: '127.0.0.1', port: options.tcpPort };
  const server = new LocalServer(options.version, dataDirectory, directory, tcp, options.programs);
  await server.start();
  return server;
}

/** A new cluster and its settings, nothing started. */
export async function initialise(dataDirectory: string, options: ServerOptions): Promise<void> {
  const initdb = join(options.programs ?? binDirectory(options.version), 'initdb');
  const fixed = ['-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-locale', '--no-sync'];
  await newCluster(dataDirectory, initdb, [...fixed, ...(options.initdbArguments ?? [])]);
  await appendSettings(dataDirectory, { ...TEST_SETTINGS, ...options.settings });
}

/** Adds lines to postgresql.conf; a later line of the same name wins. */
export async function appendSettings(dataDirectory: string, settings: Settings): Promise<void> {
  const lines = Object.entries(settings).map(([name, value]) => `${name} = '${quote(String(value))}'\n`);
  await appendFile(join(dataDirectory, 'postgresql.conf'), lines.join(''));
}

/**
 * Starts a restored data directory with a socket directory of its own and waits for what `waitFor` says.
 * @throws Error with the tail of the server's log when it ends or the deadline passes before
 */
export async function startRestored(dataDirectory: string, options: RestoredOptions): Promise<TestServer> {
  const socketDirectory = newDirectory(`rs${options.version}-`);
  const server = new LocalServer(options.version, dataDirectory, socketDirectory, options.settings ?? {});
  await server.start(options.waitFor ?? 'promoted', options.deadlineMs);
  return server;
}

class LocalServer implements TestServer {
  readonly version: PostgresVersion;
  readonly dataDirectory: string;
  readonly socketDirectory: string;
  readonly binDirectory: string;
  readonly #settings: Settings;
  readonly #logFile: string;
  #child: ChildProcess | undefined;
  #exit: Promise<number | null> = Promise.resolve(null);

  constructor(
    version: PostgresVersion,
    dataDirectory: string,
    socketDirectory: string,
    settings: Settings,
    programs = binDirectory(version),
  ) {
    this.version = version;
    this.dataDirectory = dataDirectory;
    this.socketDirectory = socketDirectory;
    this.binDirectory = programs;
    this.#settings = settings;
    this.#logFile = join(socketDirectory, 'server.log');
  }

  get #port(): number {
    return Number(this.#settings['port'] ?? 5432);
  }

  get conninfo(): string {
    return `host=${this.socketDirectory} port=${this.#port} user=postgres dbname=postgres`;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get running(): boolean {
    return this.#child !== undefined;
  }

  async client(): Promise<pg.Client> {
    const client = new pg.Client({
      host: this.socketDirectory,
      port: this.#port,
      user: 'postgres',
      database: 'postgres',
      connectionTimeoutMillis: CONNECT_DEADLINE_MS,
    });
    // Without a listener the loss of an idle connection would end the process.
    client.on('error', () => undefined);
    await client.connect();
    return client;
  }

  async query(sql: string, parameters: readonly unknown[] = []): Promise<readonly Row[]> {
    const client = await this.client();
    try {
      return (await client.query<Row>(sql, [...parameters])).rows;
    } finally {
      await client.end();
    }
  }

  async value(sql: string, parameters: readonly unknown[] = []): Promise<string> {
    const [row, ...more] = await this.query(sql, parameters);
    if (row === undefined || more.length > 0) throw new Error(`not one row: ${sql}`);
    return String(Object.values(row)[0]);
  }

  async start(waitFor: 'promoted' | 'accepting' = 'promoted', deadlineMs = START_DEADLINE_MS): Promise<void> {
    if (this.running) throw new Error(`the server in ${this.dataDirectory} runs already`);
    await this.#spawn();
    try {
      await until(() => this.#ready(waitFor), { what: `the server to be ${waitFor}`, deadlineMs, everyMs: 100 });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      const tail = (await this.log()).split('\n').slice(-LOG_TAIL_LINES).join('\n');
      await this.kill();
      throw new Error(`${reason}\nlog of the server in ${this.dataDirectory}:\n${tail}`, { cause: error });
    }
  }

  async #spawn(): Promise<void> {
    const settings: Settings = { listen_addresses: '', port: 5432, ...this.#settings };
    const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const log = await open(this.#logFile, 'a');
    try {
      const child = spawn(
        join(this.binDirectory, 'postgres'),
        ['-D', this.dataDirectory, '-k', this.socketDirectory, ...flags],
        { stdio: ['ignore', log.fd, log.fd], detached: true, env: { ...process.env, TZ: 'UTC' } },
      );
      const forget = child.pid === undefined ? () => undefined : watchProcess(child.pid);
      this.#child = child;
      this.#exit = new Promise((resolve) => {
        const ended = (status: number | null): void => {
          forget();
          if (this.#child === child) this.#child = undefined;
          resolve(status);
        };
        child.once('exit', ended);
        child.once('error', () => {
          ended(null);
        });
      });
    } finally {
      await log.close();
    }
  }

  async #ready(waitFor: 'promoted' | 'accepting'): Promise<boolean> {
    if (!this.running) throw new Error('the server ended');
    try {
      const recovering = (await this.value('select pg_is_in_recovery()')) === 'true';
      return waitFor === 'accepting' || !recovering;
    } catch {
      // It does not answer yet: "the database system is starting up", or no socket so far.
      return false;
    }
  }

  async stop(mode: StopMode = 'fast'): Promise<void> {
    const signal = ({ smart: 'SIGTERM', fast: 'SIGINT', immediate: 'SIGQUIT' } as const)[mode];
    if (this.#child === undefined) return;
    this.#child.kill(signal);
    try {
      await within(this.#exit, STOP_DEADLINE_MS, `the stop (${mode}) of the server in ${this.dataDirectory}`);
    } catch (error) {
      await this.kill();
      throw error;
    }
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (child?.pid === undefined) return;
    // Each of its processes would end by itself once it sees that the postmaster is gone, and until then a new server
    // refuses to start: so they are killed as well, as a crash of the host would.
    const family = [child.pid, ...childrenOf(child.pid)];
    for (const pid of family) signalProcess(pid, 'SIGKILL');
    await within(this.#exit, STOP_DEADLINE_MS, 'the end of a killed server');
    await until(() => !family.some((pid) => signalProcess(pid, 0)), {
      what: 'the end of the processes of a killed server',
      deadlineMs: STOP_DEADLINE_MS,
    });
  }

  exited(): Promise<number | null> {
    return this.#exit;
  }

  async log(): Promise<string> {
    return await readFile(this.#logFile, 'utf8');
  }

  async dispose(): Promise<void> {
    await this.stop('immediate');
    removeDirectory(this.socketDirectory);
  }
}

function quote(value: string): string {
  return value.replaceAll("'", "''");
}
