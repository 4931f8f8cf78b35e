import { realpath } from 'node:fs/promises';
import { archiveCommand, restoreCommand } from '../config/command-line.ts';
import type { ClusterConfig } from '../config/config.ts';
import { scriptConfigPath } from '../config/script-config.ts';
import { WaldenError } from '../errors.ts';
import type { Clock } from '../platform/clock.ts';
import type { Session } from '../postgres/session.ts';
import { runningPostmaster } from '../restore/running-process.ts';
import { applySettings, assertMayChange } from './apply-settings.ts';
import { type PlannedSetting, planSettings, type Role, type WantedSettings } from './plan-settings.ts';
import { postmasterFacts, restartCommand } from './restart-command.ts';
import { readSetupFacts, type SetupFacts } from './setting-facts.ts';

export interface SetupPlan {
  readonly role: Role;
  readonly facts: SetupFacts;
  readonly settings: readonly PlannedSetting[];
}

/** WAL that is received need not be archived as well. */
export function wantedSettings(config: ClusterConfig, replace: boolean): WantedSettings {
  const script = scriptConfigPath(config);
  return {
    cluster: config.name,
    archiveCommand: config.receive === undefined ? archiveCommand(script) : undefined,
    restoreCommand: restoreCommand(script),
    receives: config.receive !== undefined,
    streamsBackups: config.backup.source === 'stream',
    replace,
  };
}

/**
 * `role`: by default what the server is now.
 * @throws SERVER_SETTINGS when the server has the other role; SERVER_MISMATCH when it is not that of the data directory
 */
export async function planSetup(
  session: Session,
  config: ClusterConfig,
  { role, replace }: { readonly role: Role | undefined; readonly replace: boolean },
): Promise<SetupPlan> {
  const facts = await readSetupFacts(session, config.receive?.slot);
  await assertOwnServer(facts, config);
  const found = facts.inRecovery ? 'standby' : 'primary';
  if (role !== undefined && role !== found) {
    throw new WaldenError('SERVER_SETTINGS', `the server is a ${found}, not a ${role}`, {
      hint: `promote it first, or let conninfo of cluster ${config.name} name another server; or say --role ${found}`,
    });
  }
  return { role: found, facts, settings: planSettings(found, facts, wantedSettings(config, replace)) };
}

/** @throws SERVER_SETTINGS */
export function assertNoneRefused(settings: readonly PlannedSetting[]): void {
  const refused = settings.filter(({ verdict }) => verdict === 'refused');
  const [first] = refused;
  if (first === undefined) return;
  throw new WaldenError('SERVER_SETTINGS', `nothing was changed: ${first.name} is ${JSON.stringify(first.is)}`, {
    hint: first.note ?? 'change it by hand',
    details: { refused: refused.map(({ name, is, note }) => ({ name, is, note })) },
  });
}

/** @throws SERVER_SETTINGS for what is refused, before anything is changed, and as applySettings */
export async function applySetup(
  session: Session,
  { facts, settings }: Pick<SetupPlan, 'facts' | 'settings'>,
  clock: Clock,
): Promise<void> {
  assertNoneRefused(settings);
  assertMayChange(facts, settings);
  await applySettings(session, settings, clock);
}

/** What has the changes take effect that a reload has not; undefined where nothing waits. */
export async function restartNeeded(
  { facts, settings }: Pick<SetupPlan, 'facts' | 'settings'>,
  { dataDirectory }: Pick<ClusterConfig, 'dataDirectory'>,
): Promise<string | undefined> {
  if (!settings.some(({ verdict, takes }) => verdict === 'restart' || (verdict === 'change' && takes === 'restart'))) {
    return undefined;
  }
  const elsewhere = 'restart PostgreSQL on its host, with what has started it';
  if (dataDirectory === undefined) return elsewhere;
  const pid = await runningPostmaster(dataDirectory);
  if (pid === undefined) return elsewhere;
  return restartCommand(await postmasterFacts(pid, { dataDirectory, configFile: facts.configFile }));
}

/** A copy has the same system identifier: only the path tells. */
async function assertOwnServer(facts: SetupFacts, { name, dataDirectory }: ClusterConfig): Promise<void> {
  if (dataDirectory === undefined || facts.dataDirectory === undefined) return;
  const paths = await Promise.all([dataDirectory, facts.dataDirectory].map(realPathOf));
  if (paths[0] === paths[1]) return;
  throw new WaldenError(
    'SERVER_MISMATCH',
    `the server at conninfo of cluster ${name} uses ${facts.dataDirectory}, and its data_directory is ${dataDirectory}`,
  );
}

async function realPathOf(path: string): Promise<string> {
  // One that cannot be looked at from here stays as it is written.
  return await realpath(path).catch(() => path);
}
