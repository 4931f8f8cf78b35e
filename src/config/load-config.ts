import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import type { ClusterName, RepositoryName } from '../../catalog/catalog.ts';
import { systemErrorCode, WaldenError } from '../errors.ts';
import { clusterName, repositoryName } from '../repository/names.ts';
import { camelCased } from './camel-case.ts';
import { checkPlaces } from './check-places.ts';
import { checkRetention } from './check-retention.ts';
import { checkedName, type CheckedSection, type CheckedSections, checkSections } from './check-sections.ts';
import type { BackupSourceConfig, ClusterConfig, Config, ReceiveConfig, RepositoryConfig } from './config.ts';
import { CONFIG_FLAG, CONFIG_VARIABLE, DEFAULT_CONFIG_PATH } from './option-table.ts';
import { ConfigProblems, didYouMean } from './problems.ts';
import { readToml } from './toml-file.ts';

/** As bech32 writes 32 bytes; its checksum is looked at when the repository is opened. */
const RECIPIENT = /^age1[02-9ac-hj-np-z]{58}$/;
/** As PostgreSQL takes it (ReplicationSlotValidateName). */
const MAX_SLOT_LENGTH = 63;
const SLOT = /^[a-z0-9_]{1,63}$/;
/** With the key of Walden they are what fits into a header. */
const MAX_RECIPIENTS = 15;

export interface LoadConfigOptions {
  /** Default: `/etc/walden/walden.toml`. See `configPath`. */
  readonly path?: string | undefined;
  /** Whether directories must exist too, and data directories look like ones; `own`: without the data directories. */
  readonly checkPaths?: boolean | 'own' | undefined;
}

/** The flag, else the environment, else the default place. */
export function configPath(flag: string | undefined, variable: string | undefined): string {
  return resolve(flag ?? (variable === '' ? undefined : variable) ?? DEFAULT_CONFIG_PATH);
}

/** @throws CONFIG_INVALID that tells every error of the file at once, each with its line and key. */
export async function loadConfig({ path, checkPaths = false }: LoadConfigOptions = {}): Promise<Config> {
  const source = resolve(path ?? DEFAULT_CONFIG_PATH);
  const text = await readSource(source);
  const problems = new ConfigProblems(source);
  const sections = readSections(text, problems);
  const config = sections === undefined ? undefined : await whole(sections, source, problems);
  if (checkPaths !== false && sections !== undefined && config !== undefined) {
    // Most commands only want to know where the service is.
    const { checkDataDirectories, checkDrillChecks, checkOwnPaths } = await import('./check-paths.ts');
    await checkOwnPaths(sections, config, problems);
    if (checkPaths === true) {
      await checkDataDirectories(sections, config, problems);
      await checkDrillChecks(sections, problems);
    }
  }
  problems.throwIfAny();
  if (config === undefined) throw new WaldenError('INTERNAL', `the errors of ${source} got lost`);
  return config;
}

/** The same from text, without looking at the disk, and without what only the service uses. @throws CONFIG_INVALID */
export function parseConfig(text: string, source: string): Config {
  const problems = new ConfigProblems(source);
  const sections = readSections(text, problems);
  const config = sections === undefined ? undefined : assemble(sections, source, problems);
  problems.throwIfAny();
  if (config === undefined) throw new WaldenError('INTERNAL', `the errors of ${source} got lost`);
  return config;
}

async function readSource(source: string): Promise<string> {
  try {
    return await readFile(source, 'utf8');
  } catch (cause) {
    const reason = systemErrorCode(cause);
    const fact = reason === 'ENOENT' ? 'it does not exist' : (reason ?? String(cause));
    throw new WaldenError('CONFIG_INVALID', `unable to read the configuration ${source}: ${fact}`, {
      hint: `name it with ${CONFIG_FLAG} FILE or ${CONFIG_VARIABLE}; docs/options.md shows a small one`,
      cause,
    });
  }
}

function readSections(text: string, problems: ConfigProblems): CheckedSections | undefined {
  const file = readToml(text, problems);
  return file === undefined ? undefined : checkSections(file, problems);
}

/** Most files have nothing of what is loaded here. */
async function whole(sections: CheckedSections, source: string, problems: ConfigProblems): Promise<Config | undefined> {
  const config = assemble(sections, source, problems);
  const { service, schedules, hooks } = sections;
  const { metrics_listen: listen, metrics_token_file: tokenFile } = service?.values ?? {};
  if (config === undefined || (schedules.length + hooks.length === 0 && (listen ?? tokenFile) === undefined))
    return config;
  const { withSchedulesAndHooks } = await import('./schedules-and-hooks.ts');
  return withSchedulesAndHooks(config, sections, problems);
}

function assemble(sections: CheckedSections, source: string, problems: ConfigProblems): Config | undefined {
  const repositories = new Map<RepositoryName, RepositoryConfig>();
  for (const section of sections.repositories) {
    const name = checkedName(repositoryName, section, problems);
    checkKeys(section, problems);
    if (name !== undefined) repositories.set(name, { name, ...camelCased(section.values) });
  }
  const { service } = sections;
  const clusters = new Map<ClusterName, ClusterConfig>();
  for (const section of sections.clusters) {
    checkRepositories(section, sections.repositoryNames, problems);
    checkRequired(section, repositories, problems);
    checkSlot(section, problems);
    checkPartialInterval(section, problems);
    checkBackupSource(section, problems);
    const name = checkedName(clusterName, section, problems);
    if (name === undefined || service === undefined) continue;
    clusters.set(name, clusterConfig(name, section, { repositories, stateDirectory: service.values.state_directory }));
  }
  if (service === undefined) return undefined;
  const config: Config = {
    source,
    service: {
      stateDirectory: service.values.state_directory,
      socket: service.values.socket,
      workers: service.values.workers ?? availableParallelism(),
      metrics: undefined,
    },
    repositories,
    clusters,
    retention: checkRetention(sections.retention, clusters, problems),
    schedules: [],
    hooks: [],
  };
  checkPlaces(sections, config, problems);
  return config;
}

function clusterConfig(
  name: ClusterName,
  { values }: CheckedSection<'cluster'>,
  {
    repositories,
    stateDirectory,
  }: { readonly repositories: ReadonlyMap<RepositoryName, RepositoryConfig>; readonly stateDirectory: string },
): ClusterConfig {
  return {
    name,
    dataDirectory: values.data_directory,
    conninfo: values.conninfo,
    backup: backupSource(values),
    // Each was looked up among the names that `repositoryName` accepted.
    repositories: values.repositories as readonly RepositoryName[],
    required: requiredOf(values, repositories) as readonly RepositoryName[],
    spoolDirectory: join(values.spool_directory ?? join(stateDirectory, 'spool'), name),
    walCompressionLevel: values.wal_compression_level,
    backupCompressionLevel: values.backup_compression_level,
    receive: values.receive === true ? receiveConfig(name, values) : undefined,
    drill: {
      pgBin: values.pg_bin,
      directory: values.drill_directory,
      checks: values.drill_checks ?? [],
    },
    walPushTimeoutSeconds: values.wal_push_timeout,
    walFetchTimeoutSeconds: values.wal_fetch_timeout,
  };
}

/** What is missing here was refused by `checkBackupSource`. */
function backupSource(values: CheckedSection<'cluster'>['values']): BackupSourceConfig {
  const { data_directory: dataDirectory = '', conninfo = '' } = values;
  if (values.backup_source !== 'stream') return { source: 'files', dataDirectory, conninfo };
  const rate = values.stream_max_rate;
  return {
    source: 'stream',
    conninfo: values.replication_conninfo ?? conninfo,
    compression: values.stream_compression ?? 'auto',
    maxRateBytes: rate === undefined ? undefined : rate * 1_000_000,
  };
}

function receiveConfig(name: ClusterName, values: CheckedSection<'cluster'>['values']): ReceiveConfig {
  return {
    conninfo: values.replication_conninfo ?? values.conninfo ?? '',
    slot: values.slot ?? `walden_${name.replaceAll('-', '_')}`.slice(0, MAX_SLOT_LENGTH),
    applicationName: values.application_name,
    acknowledge: values.acknowledge ?? 'repository',
    spoolLimitBytes: values.receive_spool_limit * 1_000_000,
    partialIntervalSeconds: values.partial_interval,
  };
}

function checkSlot(section: CheckedSection<'cluster'>, problems: ConfigProblems): void {
  const { slot } = section.values;
  if (slot === undefined || SLOT.test(slot)) return;
  const fact = `${JSON.stringify(slot)} cannot be the name of a slot: 1 to ${MAX_SLOT_LENGTH} of a-z, 0-9 and _`;
  problems.add(section.lineOf('slot'), `cluster.${section.name}.slot`, fact);
}

function checkPartialInterval(section: CheckedSection<'cluster'>, problems: ConfigProblems): void {
  const { partial_interval: interval, receive } = section.values;
  if (interval === undefined || receive === true) return;
  const fact = 'nothing is received that could be stored: it needs receive = true';
  problems.add(section.lineOf('partial_interval'), `cluster.${section.name}.partial_interval`, fact);
}

function checkRepositories(
  section: CheckedSection<'cluster'>,
  known: ReadonlySet<string>,
  problems: ConfigProblems,
): void {
  for (const name of section.values.repositories) {
    if (known.has(name)) continue;
    const fact = `there is no section [repository.${name}]${didYouMean(name, known)}`;
    problems.add(section.lineOf('repositories'), `cluster.${section.name}.repositories`, fact);
  }
}

/** Who can open what a repository stores. */
function checkKeys(section: CheckedSection<'repository'>, problems: ConfigProblems): void {
  const { recipients, key_directory: keyDirectory } = section.values;
  if (recipients === undefined) return;
  const refuse = (fact: string): void => {
    problems.add(section.lineOf('recipients'), `repository.${section.name}.recipients`, fact);
  };
  if (keyDirectory === undefined) {
    refuse('needs a key_directory too: Walden must read back what it stores, so it needs a key of its own');
  }
  for (const recipient of recipients) {
    if (!RECIPIENT.test(recipient)) refuse(`${JSON.stringify(recipient)} is not what age-keygen prints: age1…`);
  }
  if (recipients.length > MAX_RECIPIENTS) refuse(`names more than ${MAX_RECIPIENTS}`);
}

/** What is acknowledged must be somewhere: so a repository that is only read cannot be required. */
function checkRequired(
  section: CheckedSection<'cluster'>,
  repositories: ReadonlyMap<RepositoryName, RepositoryConfig>,
  problems: ConfigProblems,
): void {
  const { values } = section;
  const refuse = (fact: string): void => {
    problems.add(section.lineOf('required'), `cluster.${section.name}.required`, fact);
  };
  for (const name of values.required ?? []) {
    if (!values.repositories.includes(name)) {
      refuse(`${name} is not among the repositories of this cluster${didYouMean(name, values.repositories)}`);
    } else if (isReadOnly(repositories, name)) {
      refuse(`repository ${name} is read-only here: WAL cannot be stored in it, so it cannot be required`);
    }
  }
}

/** Unless told otherwise, all that can be stored in. */
function requiredOf(
  { required, repositories: names }: CheckedSection<'cluster'>['values'],
  repositories: ReadonlyMap<RepositoryName, RepositoryConfig>,
): readonly string[] {
  if (required !== undefined) return required;
  const writable = names.filter((name) => !isReadOnly(repositories, name));
  return writable.length === 0 ? names : writable;
}

function isReadOnly(repositories: ReadonlyMap<RepositoryName, RepositoryConfig>, name: string): boolean {
  return repositories.get(name as RepositoryName)?.access === 'read-only';
}

/** What a cluster must name depends on where its base backups and its WAL come from. */
function checkBackupSource(section: CheckedSection<'cluster'>, problems: ConfigProblems): void {
  const { values } = section;
  const refuse = (key: keyof typeof values, fact: string): void => {
    problems.add(section.lineOf(key), `cluster.${section.name}.${key}`, fact);
  };
  const isStream = values.backup_source === 'stream';
  if (values.data_directory === undefined) {
    if (!isStream) refuse('data_directory', 'is missing');
    else if (values.receive !== true) {
      refuse('data_directory', 'is missing: without it WAL can only be received, which needs receive = true');
    }
  }
  if (values.conninfo === undefined && !(isStream && values.replication_conninfo !== undefined)) {
    refuse('conninfo', 'is missing');
  }
  if (isStream) return;
  for (const key of ['stream_compression', 'stream_max_rate'] as const) {
    if (values[key] !== undefined) refuse(key, 'means nothing here: it needs backup_source = "stream"');
  }
}
