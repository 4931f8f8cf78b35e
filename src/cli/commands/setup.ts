import { access } from 'node:fs/promises';
import { type Command, Option } from 'commander';
import type { ClusterConfig } from '../../config/config.ts';
import type { Session } from '../../postgres/session.ts';
import type { Role } from '../../setup/plan-settings.ts';
import { confirm } from '../ask.ts';
import type { Cli } from '../cli.ts';
import { addConfigOption, clusterOf, type ConfigOptions, readConfig } from '../connection.ts';
import { example } from '../example.ts';
import { renderSettings, renderSetup, settingsDocument, type SetupDocument } from '../render/setup.ts';

export interface SetupOptions {
  readonly role?: Role;
  readonly dryRun?: true;
  readonly yes?: true;
  readonly replace?: true;
}

export function defineSetup(command: Command, cli: Cli): void {
  addConfigOption(command)
    .argument('<cluster>', 'name of the cluster')
    .addOption(
      new Option('--role <role>', 'refuse a server that is something else (default: what it is)').choices([
        'primary',
        'standby',
      ]),
    )
    .option('--dry-run', 'show what would be changed, and change nothing')
    .option('--yes', 'change it without asking')
    .option('--replace', "replace an archive_command, archive_library or restore_command that is somebody else's")
    .description(
      'Checks and sets what a cluster needs of its server, by ALTER SYSTEM, and says whether a reload was enough. PostgreSQL is never restarted.',
    )
    .addHelpText('after', example('walden setup main --dry-run', 'walden setup main --role primary --yes'))
    .action(async (cluster: string) => {
      const options = command.optsWithGlobals<SetupOptions & ConfigOptions>();
      const config = clusterOf(await readConfig(cli, options), cluster);
      const document = await withServer(config, (session) => setUp(cli, session, config, options));
      cli.result(document, renderSetup);
    });
}

/** Opens a session with the server of a cluster, and closes it after `work`. */
export async function withServer<Result>(
  config: ClusterConfig,
  work: (session: Session) => Promise<Result>,
): Promise<Result> {
  const { openClusterSession } = await import('../../setup/open-session.ts');
  const session = await openClusterSession(config);
  try {
    return await work(session);
  } finally {
    await session.close();
  }
}

/** Shows what is to be changed, asks, and does it. */
export async function setUp(
  cli: Cli,
  session: Session,
  config: ClusterConfig,
  options: SetupOptions,
): Promise<SetupDocument> {
  const { planSetup, applySetup, assertNoneRefused, restartNeeded } = await import('../../setup/set-up-cluster.ts');
  const plan = await planSetup(session, config, { role: options.role, replace: options.replace === true });
  const restart = (await restartNeeded(plan, config)) ?? null;
  const document = (dryRun: boolean, wereChanged: boolean): SetupDocument => ({
    ...{ cluster: config.name, role: plan.role, majorVersion: plan.facts.majorVersion, dryRun },
    settings: settingsDocument(plan.settings, wereChanged),
    restart,
  });
  const isRefused = plan.settings.some(({ verdict }) => verdict === 'refused');
  if (isRefused && !cli.json) cli.print(renderSetup(document(options.dryRun === true, false)));
  assertNoneRefused(plan.settings);
  if (options.dryRun === true) return document(true, false);
  if (plan.settings.some(({ verdict }) => verdict === 'change')) {
    if (options.yes !== true) cli.remark(renderSettings(document(true, false)));
    const isWanted = await confirm(cli, 'Change these settings?', { isAnswered: options.yes === true });
    if (!isWanted) return document(true, false);
    await applySetup(session, plan, cli.clock);
  }
  await noteMissingScript(cli, config);
  return document(false, true);
}

/** Without it archive_command fails, and WAL waits in pg_wal: no loss, but nobody should have to find out. */
async function noteMissingScript(cli: Cli, config: ClusterConfig): Promise<void> {
  const { scriptConfigPath } = await import('../../config/script-config.ts');
  const path = scriptConfigPath(config);
  await access(path).catch(() => {
    cli.remark(`WARNING: ${path} is not there, or cannot be seen: walden service writes it at its start`);
  });
}
