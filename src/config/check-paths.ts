import { stat } from 'node:fs/promises';
import { dirname, isAbsolute, join } from 'node:path';
import type { ClusterName, RepositoryName } from '../../catalog/catalog.ts';
import { systemErrorCode } from '../errors.ts';
import type { CheckedSection, CheckedSections } from './check-sections.ts';
import type { Config } from './config.ts';
import { parseDrillCheck } from './drill-check.ts';
import type { Options } from './option.ts';
import type { ConfigProblems } from './problems.ts';
import { STORES } from './store-options.ts';

/** Files that every data directory has, running or not. */
const DATA_DIRECTORY_FILES = ['PG_VERSION', 'global/pg_control'];

/** Looks at the disk: a data directory must be there and be one. */
export async function checkDataDirectories(
  sections: CheckedSections,
  config: Config,
  problems: ConfigProblems,
): Promise<void> {
  for (const section of sections.clusters) {
    const cluster = config.clusters.get(section.name as ClusterName);
    if (cluster?.dataDirectory === undefined) continue;
    const fact = await whyNotData(cluster.dataDirectory);
    if (fact === undefined) continue;
    problems.add(section.lineOf('data_directory'), `cluster.${section.name}.data_directory`, fact);
  }
}

/** What drills are to check must be there, and may change until then: a service starts without looking. */
export async function checkDrillChecks(sections: CheckedSections, problems: ConfigProblems): Promise<void> {
  for (const section of sections.clusters) {
    for (const check of section.values.drill_checks ?? []) {
      const { file } = parseDrillCheck(check);
      const isFile = isAbsolute(file) && (await stat(file).catch(() => undefined))?.isFile() === true;
      if (isFile) continue;
      const fact = `${JSON.stringify(check)} names no file that is there: "/path/of/check.sql" or "DATABASE=/path/of/check.sql"`;
      problems.add(section.lineOf('drill_checks'), `cluster.${section.name}.drill_checks`, fact);
    }
  }
}

/**
 * What Walden makes by itself (state directory, socket, repositories, spools) may be absent as long as the directory
 * above it, or one of Walden's own, is there to make it in.
 */
export async function checkOwnPaths(
  sections: CheckedSections,
  config: Config,
  problems: ConfigProblems,
): Promise<void> {
  const { service } = sections;
  const own = [config.service.stateDirectory];
  if (service !== undefined) {
    const refuse = (key: 'state_directory' | 'socket', fact: string | undefined): void => {
      if (fact !== undefined) problems.add(service.lineOf(key), `service.${key}`, fact);
    };
    refuse('state_directory', await whyNotMade(config.service.stateDirectory, []));
    refuse('socket', await whyNoParent(config.service.socket, own));
  }
  for (const section of sections.repositories) {
    const repository = config.repositories.get(section.name as RepositoryName);
    if (repository === undefined) continue;
    if (repository.driver !== 'local') {
      await checkFiles(section, problems);
      continue;
    }
    const fact = await whyNotMade(repository.path, own);
    if (fact !== undefined) problems.add(section.lineOf('path'), `repository.${section.name}.path`, fact);
  }
  for (const section of sections.clusters) {
    const cluster = config.clusters.get(section.name as ClusterName);
    if (cluster === undefined) continue;
    const spool = await whyNotMade(dirname(cluster.spoolDirectory), own);
    if (spool !== undefined) {
      problems.add(section.lineOf('spool_directory'), `cluster.${section.name}.spool_directory`, spool);
    }
  }
}

/** Credentials and certificates that the section names. */
async function checkFiles(section: CheckedSection<'repository'>, problems: ConfigProblems): Promise<void> {
  const { name, values } = section;
  const options: Options = STORES[values.driver].options;
  for (const [key, path] of Object.entries(values) as [Parameters<typeof section.lineOf>[0], unknown][]) {
    const option = options[key];
    if (option?.type !== 'path' || option.file !== true || typeof path !== 'string') continue;
    const found = await kindOf(path);
    if (found === 'is not a directory') continue;
    problems.add(
      section.lineOf(key),
      `repository.${name}.${key}`,
      `${path} ${found === 'directory' ? 'is a directory' : found}`,
    );
  }
}

async function whyNotData(path: string): Promise<string | undefined> {
  const found = await kindOf(path);
  if (found !== 'directory') return `${path} ${found}`;
  for (const file of DATA_DIRECTORY_FILES) {
    const kind = await kindOf(join(path, file));
    if (kind === 'does not exist')
      return `${path} does not look like a data directory of PostgreSQL: it has no ${file}`;
    if (kind !== 'is not a directory') return `${path}/${file} ${kind}`;
  }
  return undefined;
}

async function whyNotMade(path: string, own: readonly string[]): Promise<string | undefined> {
  const found = await kindOf(path);
  if (found === 'directory') return undefined;
  return found === 'does not exist' ? await whyNoParent(path, own) : `${path} ${found}`;
}

async function whyNoParent(path: string, own: readonly string[]): Promise<string | undefined> {
  if (own.some((directory) => path.startsWith(`${directory}/`))) return undefined;
  const parent = dirname(path);
  const found = await kindOf(parent);
  return found === 'directory' ? undefined : `the directory ${parent} ${found}`;
}

async function kindOf(path: string): Promise<string> {
  try {
    return (await stat(path)).isDirectory() ? 'directory' : 'is not a directory';
  } catch (error) {
    const code = systemErrorCode(error);
    return code === 'ENOENT' || code === 'ENOTDIR' ? 'does not exist' : `cannot be looked at (${code ?? 'unknown'})`;
  }
}
