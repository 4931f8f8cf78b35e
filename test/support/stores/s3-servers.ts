import { execFile, type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants, openSync, closeSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { watchProcess } from '../sandbox.ts';
import { within } from '../until.ts';

/** What test servers of object stores have in common: programs, ports, processes, certificates. */

const PROGRAM_DEADLINE_MS = 60_000;
const STOP_DEADLINE_MS = 20_000;

/** A user, by the keys that it signs with. */
export interface S3User {
  readonly accessKey: string;
  readonly secretKey: string;
}

/** An S3 store for tests, with one user. */
export interface S3TestServer extends S3User {
  readonly endpoint: string;
  stop(): Promise<void>;
}

/**
 * Why these programs cannot be run here; undefined where they can. On the project's own machines (CI=true) they must be
 * there.
 * @throws Error with CI=true
 */
export function whyNot(programs: readonly string[], packages: string): string | undefined {
  const missing = programs.filter((program) => !isProgram(program));
  if (missing.length === 0) return undefined;
  const reason = `there is no ${missing.join(', ')}: install the packages ${packages}`;
  if (process.env['CI'] === 'true') throw new Error(reason);
  return reason;
}

function isProgram(name: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Runs a program to its end. @throws Error with what it wrote */
export async function runProgram(program: string, words: readonly string[], input?: string): Promise<string> {
  const running = promisify(execFile)(program, words, { timeout: PROGRAM_DEADLINE_MS, encoding: 'utf8' });
  // One that has ended before it read its input says by its status whether that was right.
  running.child.stdin?.on('error', () => undefined).end(input ?? '');
  return (await running).stdout;
}

/** A program that runs until it is stopped, and at the latest until this process ends. */
export class ServerProcess {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #log: string;
  readonly #ended: Promise<void>;

  /** Its output goes to `<directory>/<name>.out`. */
  constructor(name: string, directory: string, program: string, words: readonly string[], env?: NodeJS.ProcessEnv) {
    this.name = name;
    this.#log = join(directory, `${name}.out`);
    const output = openSync(this.#log, 'a');
    this.#child = spawn(program, words, {
      cwd: directory,
      env: { ...process.env, ...env },
      stdio: ['ignore', output, output],
    });
    closeSync(output);
    const unwatch = this.#child.pid === undefined ? undefined : watchProcess(this.#child.pid);
    this.#ended = new Promise((resolve) => {
      this.#child.once('error', () => {
        resolve();
      });
      this.#child.once('exit', () => {
        unwatch?.();
        resolve();
      });
    });
  }

  get running(): boolean {
    return this.#child.pid !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** The end of what it wrote. */
  get output(): string {
    return `${this.name}:\n${readFileSync(this.#log, 'utf8').slice(-3000)}`;
  }

  /** At once: a test store's data is thrown away. */
  async stop(): Promise<void> {
    this.#child.kill('SIGKILL');
    await within(this.#ended, STOP_DEADLINE_MS, `the end of ${this.name}`);
  }
}

export interface Certificates {
  readonly caFile: string;
  readonly certificateFile: string;
  readonly keyFile: string;
}

/** An authority, and a certificate of it for 127.0.0.1 and localhost. */
export async function makeCertificates(directory: string): Promise<Certificates> {
  const at = (name: string): string => join(directory, name);
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  const authority = ['-subj', '/CN=authority', '-days', '2', '-keyout', at('ca.key'), '-out', at('ca.pem')];
  await runProgram('openssl', ['req', '-x509', ...newKey, ...authority]);
  await runProgram('openssl', [
    'req',
    ...newKey,
    '-subj',
    '/CN=store',
    '-keyout',
    at('tls.key'),
    '-out',
    at('tls.csr'),
  ]);
  await writeFile(at('tls.ext'), 'subjectAltName = IP:127.0.0.1, DNS:localhost\n');
  const signing = ['-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-CAcreateserial', '-days', '2'];
  const files = ['-in', at('tls.csr'), '-extfile', at('tls.ext'), '-out', at('tls.pem')];
  await runProgram('openssl', ['x509', '-req', ...signing, ...files]);
  return { caFile: at('ca.pem'), certificateFile: at('tls.pem'), keyFile: at('tls.key') };
}
