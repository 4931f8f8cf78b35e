import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { appendFile, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { projectDirectory } from './project.ts';
import { newDirectory, watchProcess } from './sandbox.ts';
import { within } from './until.ts';

const READY_DEADLINE_MS = 180_000;
const STOP_DEADLINE_MS = 180_000;
const COMMAND_DEADLINE_MS = 250_000;
const LOG_TAIL_LINES = 40;

/** `bin/`, where the operator's and PostgreSQL's programs are. */
export const programDirectory = join(projectDirectory, 'bin');

export interface ClusterPlace {
  /** Undefined: the node is elsewhere. */
  readonly dataDirectory?: string | undefined;
  readonly conninfo: string;
}

export interface WaldenOptions {
  /** By name; the services's configuration has a `[cluster.NAME]` for each. */
  readonly clusters: Readonly<Record<string, ClusterPlace>>;
  /** Names of local repositories; one called `local` by default. Every cluster uses all of them. */
  readonly repositories?: readonly string[];
  /** Lines of the sections of those that are not local, by name. */
  readonly stores?: Readonly<Record<string, readonly string[]>>;
  /** Where the service is run: words before its program that end in running it in their own process. */
  readonly serviceWithin?: (directory: string) => readonly string[];
  /** Further lines for the service. */
  readonly serviceSettings?: readonly string[];
  /** Further lines for each cluster, for example `wal_push_timeout = 5`. */
  readonly clusterSettings?: readonly string[];
}

export interface Outcome {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A program that was started and may be killed before its end. */
export interface RunningProgram {
  /** Resolves whatever comes of it; status 124 when a signal or the deadline ended it. */
  readonly outcome: Promise<Outcome>;
  /** SIGKILL, unless told otherwise. Whether it was still running. */
  kill(signal?: NodeJS.Signals): boolean;
}

/** A configuration in a directory of its own, and the real programs of `bin/` on it. */
export interface WaldenHarness {
  readonly directory: string;
  readonly configFile: string;
  readonly stateDirectory: string;
  readonly running: boolean;
  /** The process of the service, undefined while it does not run. */
  readonly pid: number | undefined;
  repositoryPath(name?: string): string;
  /** Runs `walden service` and waits until `walden ping` says that it is ready. */
  start(): Promise<void>;
  /** SIGTERM. @throws Error when it does not end in time or ends with another status than 0 */
  stop(): Promise<void>;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** Starts `walden …`. */
  launch(...words: readonly string[]): RunningProgram;
  /** Runs `walden …` whatever comes of it. */
  attempt(...words: readonly string[]): Promise<Outcome>;
  /** Runs `walden …`. @returns what it printed @throws Error with its messages unless the status is 0 */
  run(...words: readonly string[]): Promise<string>;
  /** Runs `walden … --json`. */
  json(...words: readonly string[]): Promise<unknown>;
  /** What to write into postgresql.conf for the cluster, as `walden script-config` prints it. */
  commandSettings(cluster?: string): Promise<{ readonly archiveCommand: string; readonly restoreCommand: string }>;
  /** Everything that the service logged. */
  log(): Promise<string>;
}

/** Writes the configuration; nothing is started. */
export function createWalden(options: WaldenOptions): WaldenHarness {
  const directory = newDirectory('walden');
  const repositories = options.repositories ?? ['local'];
  for (const name of ['state', ...repositories.map(repositoryDirectory)]) mkdirSync(join(directory, name));
  const lines = [
    '[service]',
    `state_directory = "${join(directory, 'state')}"`,
    `socket = "${join(directory, 'walden.sock')}"`,
    'workers = 2',
    ...(options.serviceSettings ?? []),
    ...repositories.flatMap((name) => [
      '',
      `[repository.${name}]`,
      ...(options.stores?.[name] ?? ['driver = "local"', `path = "${join(directory, repositoryDirectory(name))}"`]),
    ]),
    ...Object.entries(options.clusters).flatMap(([name, { dataDirectory, conninfo }]) => [
      '',
      `[cluster.${name}]`,
      ...(dataDirectory === undefined ? [] : [`data_directory = "${dataDirectory}"`]),
      `conninfo = "${conninfo}"`,
      `repositories = [${repositories.map((repository) => `"${repository}"`).join(', ')}]`,
      ...(options.clusterSettings ?? []),
    ]),
  ];
  writeFileSync(join(directory, 'walden.toml'), `${lines.join('\n')}\n`);
  return new LocalWalden(directory, options.serviceWithin?.(directory) ?? []);
}

function repositoryDirectory(name: string): string {
  return `repository-${name}`;
}

class LocalWalden implements WaldenHarness {
  readonly directory: string;
  readonly #logFile: string;
  readonly #within: readonly string[];
  #child: ChildProcess | undefined;
  #exit: Promise<number | null> = Promise.resolve(0);

  constructor(directory: string, within: readonly string[]) {
    this.directory = directory;
    this.#within = within;
    this.#logFile = join(directory, 'service.log');
  }

  get configFile(): string {
    return join(this.directory, 'walden.toml');
  }

  get stateDirectory(): string {
    return join(this.directory, 'state');
  }

  get running(): boolean {
    return this.#child !== undefined;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  repositoryPath(name = 'local'): string {
    return join(this.directory, repositoryDirectory(name));
  }

  async start(): Promise<void> {
    if (this.running) throw new Error('the service runs already');
    const log = await open(this.#logFile, 'a');
    const [program, ...words] = [...this.#within, join(programDirectory, 'walden'), 'service'];
    try {
      this.#watch(
        spawn(program, words, {
          stdio: ['ignore', log.fd, log.fd],
          detached: true,
          env: this.#environment(),
        }),
      );
    } finally {
      await log.close();
    }
    const ping = this.launch('ping', '--wait', String(READY_DEADLINE_MS / 1000));
    // A service that has ended already will not answer.
    void this.#exit.then(() => ping.kill());
    const { status, stderr } = await ping.outcome;
    if (status === 0) return;
    const tail = (await this.log()).split('\n').slice(-LOG_TAIL_LINES).join('\n');
    await this.kill();
    throw new Error(`the service did not get ready: ${stderr}\nits log:\n${tail}`);
  }

  #watch(child: ChildProcess): void {
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
  }

  async stop(): Promise<void> {
    if (this.#child === undefined) return;
    this.#child.kill('SIGTERM');
    try {
      const status = await within(this.#exit, STOP_DEADLINE_MS, 'the stop of the service');
      if (status !== 0) throw new Error(`the service ended with ${status ?? 'a signal'}\n${await this.log()}`);
    } catch (error) {
      await this.kill();
      throw error;
    }
  }

  async kill(): Promise<void> {
    this.#child?.kill('SIGKILL');
    await within(this.#exit, STOP_DEADLINE_MS, 'the end of the killed service');
  }

  #environment(): NodeJS.ProcessEnv {
    return { ...process.env, WALDEN_CONFIG: this.configFile };
  }

  launch(...words: readonly string[]): RunningProgram {
    return startProgram(join(programDirectory, 'walden'), words, { env: this.#environment(), cwd: this.directory });
  }

  attempt(...words: readonly string[]): Promise<Outcome> {
    return this.launch(...words).outcome;
  }

  async run(...words: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await this.attempt(...words);
    if (status !== 0) throw new Error(`walden ${words.join(' ')}: status ${status}\n${stdout}${stderr}`);
    return stdout;
  }

  async json(...words: readonly string[]): Promise<unknown> {
    return JSON.parse(await this.run(...words, '--json'));
  }

  async commandSettings(cluster = 'main'): Promise<{ archiveCommand: string; restoreCommand: string }> {
    const text = await this.run('script-config', cluster);
    const setting = (name: string): string => {
      const quoted = new RegExp(`^# +${name} = '(.*)'$`, 'm').exec(text)?.[1];
      if (quoted === undefined) throw new Error(`script-config shows no ${name}:\n${text}`);
      return quoted.replaceAll("''", "'").replaceAll('\\\\', '\\');
    };
    return { archiveCommand: setting('archive_command'), restoreCommand: setting('restore_command') };
  }

  async log(): Promise<string> {
    return await readFile(this.#logFile, 'utf8');
  }
}

export interface ProgramOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  readonly deadlineMs?: number;
}

/** Runs a program to its end. @returns whatever came of it; status 124 when a signal or the deadline ended it */
export function runProgram(program: string, words: readonly string[], options: ProgramOptions = {}): Promise<Outcome> {
  return startProgram(program, words, options).outcome;
}

export function startProgram(program: string, words: readonly string[], options: ProgramOptions): RunningProgram {
  const { deadlineMs = COMMAND_DEADLINE_MS, ...rest } = options;
  let kill: (signal: NodeJS.Signals) => boolean = () => false;
  const outcome = new Promise<Outcome>((resolve) => {
    const child = execFile(
      program,
      words,
      { ...rest, timeout: deadlineMs, killSignal: 'SIGKILL', maxBuffer: 64 * 1024 * 1024 },
      (error, stdout, stderr) => {
        const status = error === null ? 0 : typeof error.code === 'number' ? error.code : 124;
        const reason = error !== null && typeof error.code !== 'number' ? `${error.message}\n` : '';
        resolve({ status, stdout, stderr: `${reason}${stderr}` });
      },
    );
    kill = (signal) => child.exitCode === null && child.kill(signal);
  });
  return { outcome, kill: (signal = 'SIGKILL') => kill(signal) };
}

/** Adds lines to the configuration; a running service does not see them. */
export async function appendConfiguration(walden: WaldenHarness, lines: readonly string[]): Promise<void> {
  await appendFile(walden.configFile, `${lines.join('\n')}\n`);
}
