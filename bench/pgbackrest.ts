import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { runProgram } from '../test/support/walden.ts';
import { newDirectory } from '../test/support/sandbox.ts';

/** The peer, as its manual sets it up. Its options: pgbackrest help. */

export interface PgBackRestOptions {
  readonly dataDirectory: string;
  readonly socketDirectory: string;
  readonly level: number;
  readonly async: boolean;
  readonly getQueueBytes?: number;
  /** Instead of a directory. It speaks to no store without TLS. */
  readonly s3?: PgBackRestStore;
}

export interface PgBackRestStore {
  readonly bucket: string;
  readonly tlsEndpoint: string;
  readonly caFile: string;
  readonly accessKey: string;
  readonly secretKey: string;
}

/** The version that is installed, or undefined. */
export function pgBackRestVersion(): string | undefined {
  try {
    return execFileSync('pgbackrest', ['version'], { encoding: 'utf8', timeout: 10_000 }).trim();
  } catch {
    return undefined;
  }
}

function storeLines({ bucket, tlsEndpoint, caFile, accessKey, secretKey }: PgBackRestStore): string {
  const { hostname, port } = new URL(tlsEndpoint);
  return `repo1-type=s3
repo1-path=/pgbackrest
repo1-s3-bucket=${bucket}
repo1-s3-endpoint=${hostname}
repo1-s3-region=us-east-1
repo1-s3-uri-style=path
repo1-s3-key=${accessKey}
repo1-s3-key-secret=${secretKey}
repo1-storage-port=${port}
repo1-storage-ca-file=${caFile}`;
}

export class PgBackRest {
  readonly directory = newDirectory('pgbackrest');
  readonly repository = join(this.directory, 'repository');
  readonly #configuration = join(this.directory, 'pgbackrest.conf');

  constructor(options: PgBackRestOptions) {
    for (const name of ['repository', 'spool', 'log', 'lock']) mkdirSync(join(this.directory, name));
    this.configure(options);
  }

  configure({ dataDirectory, socketDirectory, level, async, s3, getQueueBytes = 1024 ** 3 }: PgBackRestOptions): void {
    writeFileSync(
      this.#configuration,
      `[global]
${s3 === undefined ? `repo1-path=${this.repository}` : storeLines(s3)}
repo1-retention-full=9
repo1-bundle=y
spool-path=${join(this.directory, 'spool')}
log-path=${join(this.directory, 'log')}
lock-path=${join(this.directory, 'lock')}
log-level-console=warn
log-level-file=off
compress-type=zst
compress-level=${level}
process-max=2
start-fast=y
archive-async=${async ? 'y' : 'n'}
archive-get-queue-max=${getQueueBytes}
[main]
pg1-path=${dataDirectory}
pg1-socket-path=${socketDirectory}
pg1-user=postgres
`,
    );
  }

  /** Runs a command of it to its end. @throws Error unless its status is 0 */
  async run(...words: readonly string[]): Promise<string> {
    const [command, ...rest] = this.words(...words);
    const { status, stdout, stderr } = await runProgram(command ?? '', rest, { deadlineMs: 1_800_000 });
    if (status !== 0) throw new Error(`pgbackrest ${words.join(' ')}: status ${status}\n${stdout}${stderr}`);
    return stdout;
  }

  words(...words: readonly string[]): readonly string[] {
    return ['pgbackrest', `--config=${this.#configuration}`, '--stanza=main', ...words];
  }

  get archiveCommand(): string {
    return this.words('archive-push', '%p').join(' ');
  }

  get restoreCommand(): string {
    return this.words('archive-get', '%f', '%p').join(' ');
  }

  dispose(): void {
    // Its asynchronous process may still be about to end, and writes in there until then.
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}
