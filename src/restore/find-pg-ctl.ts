import { execFile } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { WaldenError } from '../errors.ts';

const DEADLINE_MS = 10_000;

export interface PgCtlSought {
  /** 13, 14, … */
  readonly majorVersion: number;
  /** The only directory that is looked into, where one is named. */
  readonly directory: string | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/**
 * The pg_ctl of a major version: in the directory that is named, else where the PATH and pg_config lead, and where Debian's
 * and RPM's packages put it. @throws NOT_FOUND; USAGE when the directory that is named has another version
 */
export async function findPgCtl({ majorVersion, directory, environment }: PgCtlSought): Promise<string> {
  const directories = directory === undefined ? await usualDirectories(majorVersion, environment) : [directory];
  for (const candidate of directories) {
    const path = join(candidate, 'pg_ctl');
    const version = await majorVersionOf(path);
    if (version === majorVersion) return path;
    if (version === undefined || directory === undefined) continue;
    throw new WaldenError('USAGE', `${path} is of version ${version}, and the cluster of version ${majorVersion}`, {
      hint: `name the directory with the programs of PostgreSQL ${majorVersion}: --pg-bin`,
    });
  }
  throw new WaldenError('NOT_FOUND', `there is no pg_ctl of PostgreSQL ${majorVersion} in ${directories.join(', ')}`, {
    hint: 'name the directory where it is: --pg-bin',
  });
}

async function usualDirectories(
  majorVersion: number,
  { PATH = '' }: PgCtlSought['environment'],
): Promise<readonly string[]> {
  const onPath = PATH.split(delimiter).filter((directory) => directory.startsWith('/'));
  const configured = await outputOf('pg_config', ['--bindir']);
  return [
    ...new Set([
      ...onPath,
      ...(configured === undefined ? [] : [configured]),
      `/usr/lib/postgresql/${majorVersion}/bin`,
      `/usr/pgsql-${majorVersion}/bin`,
      '/usr/local/pgsql/bin',
    ]),
  ];
}

/** Undefined also where there is none, or it cannot be run. */
async function majorVersionOf(pgCtl: string): Promise<number | undefined> {
  try {
    await access(pgCtl, constants.X_OK);
  } catch {
    // Not there, or not for this user: for the caller that is the same.
    return undefined;
  }
  const version = /\b(\d+)(?:\.|devel|beta|rc|\s|$)/.exec((await outputOf(pgCtl, ['--version'])) ?? '')?.[1];
  return version === undefined ? undefined : Number(version);
}

async function outputOf(program: string, words: readonly string[]): Promise<string | undefined> {
  try {
    const { stdout } = await promisify(execFile)(program, [...words], { timeout: DEADLINE_MS });
    return stdout.trim();
  } catch {
    // It is not there, or does not work: then it shows no way.
    return undefined;
  }
}
