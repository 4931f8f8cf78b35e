import { spawn } from 'node:child_process';
import { open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { shellQuoted } from '../../config/command-line.ts';
import { scriptConfigPath } from '../../config/script-config.ts';
import { isWaldenError, WaldenError } from '../../errors.ts';
import { asUser } from '../../platform/as-user.ts';
import type { BackupDocument, PingDocument, StatusDocument } from '../../service/api.ts';
import { makeOwnDirectory, type ServerOwner } from '../../setup/init/owner.ts';
import { userName } from '../../setup/init/user-name.ts';
import { enableUnit, UNIT_PATH, writeOwnFile } from '../../setup/init/write-files.ts';
import { clusterPath } from '../api-paths.ts';
import { confirm } from '../ask.ts';
import type { Cli } from '../cli.ts';
import { setUp, withServer } from '../commands/setup.ts';
import { followJob, startJob } from '../follow-job.ts';
import { renderBackup } from '../render/backups.ts';
import { renderSettings, renderSetup, type SetupDocument } from '../render/setup.ts';
import { renderStatus } from '../render/status.ts';
import { type InitPlan, serviceCommand } from './plan-init.ts';

const START_DEADLINE_MS = 60_000;
const POLL_MS = 200;
const PING_SECONDS = 5;

/** Shows the whole plan: every file with its text, every setting. */
export async function showInit(cli: Cli, plan: InitPlan): Promise<SetupDocument> {
  const { server, config, cluster, newConfig, newUnit, notes } = plan;
  const settings = await withServer(cluster, (session) =>
    setUp(cli, session, cluster, { role: 'primary', dryRun: true }),
  );
  if (!cli.json) {
    const text = (heading: string, body: string | undefined): string[] =>
      body === undefined
        ? []
        : [
            `  ${heading}`,
            ...body
              .trimEnd()
              .split('\n')
              .map((line) => `    ${line}`.trimEnd()),
          ];
    cli.print(
      [
        `found: PostgreSQL ${settings.majorVersion} in ${server.dataDirectory}, process ${server.pid}, port ${server.place.port}`,
        ...(newConfig === undefined ? [`  ${config.source} is there, and has it as ${cluster.name}`] : []),
        ...text(`${config.source} is to be:`, newConfig),
        ...text(`${UNIT_PATH} is to be:`, newUnit),
        `  service: ${serviceWords(plan)}`,
        renderSettings({ ...settings, dryRun: true }),
      ].join('\n'),
    );
  }
  for (const note of notes) cli.remark(`WARNING: ${note}`);
  return settings;
}

function serviceWords({ serviceRuns, start, config }: InitPlan): string {
  if (serviceRuns) return 'runs already';
  if (start === 'systemd') return 'is to be run by systemd';
  return start === 'detached' ? 'is to be started now, and by you after a boot' : `is yours to start: ${words(config)}`;
}

/** Writes what is missing, and starts the service. What is there already stays as it is. */
export async function installService(cli: Cli, plan: InitPlan): Promise<void> {
  const { server, config, newConfig, newUnit, start, serviceRuns } = plan;
  const { owner } = server;
  const say = (text: string): void => {
    if (!cli.json) cli.print(`done: ${text}`);
  };
  if (!serviceRuns) {
    const { stateDirectory, socket } = config.service;
    await makeOwnDirectory(stateDirectory, 0o750, owner);
    for (const repository of config.repositories.values()) {
      if (repository.driver === 'local') await makeOwnDirectory(repository.path, 0o750, owner);
    }
    await makeOwnDirectory(dirname(socket), 0o755, owner);
  }
  if (newConfig !== undefined) {
    await writeOwnFile(config.source, newConfig, owner);
    say(`wrote ${config.source}`);
  }
  if (serviceRuns) return;
  if (newUnit !== undefined) {
    await writeOwnFile(UNIT_PATH, newUnit, { ...owner, gid: 0 });
    say(`wrote ${UNIT_PATH}`);
  }
  if (start === 'by hand') throw notStarted(plan, (await userName(owner.uid)) ?? String(owner.uid));
  if (start === 'systemd') await enableUnit();
  else await startDetached(config.service.stateDirectory, serviceCommand(config), owner);
  await isReady(cli, plan);
  say(`started the service, which wrote ${scriptConfigPath(plan.cluster)}`);
}

function notStarted({ config }: InitPlan, user: string): WaldenError {
  return new WaldenError('SERVICE_UNREACHABLE', 'the service does not run yet, so archiving is not set up either', {
    hint: `have it started at every boot, as the user ${user}: ${words(config)}; then run walden init again, which goes on here (--start starts it for now)`,
  });
}

function words(config: InitPlan['config']): string {
  return serviceCommand(config)
    .map((word) => (/^[\w@+:,./-]+$/.test(word) ? word : shellQuoted(word)))
    .join(' ');
}

/** It outlives this program; its log is beside its catalog. */
async function startDetached(
  stateDirectory: string,
  [program = '', ...rest]: readonly string[],
  owner: ServerOwner,
): Promise<void> {
  const log = await asUser(owner, () => open(join(stateDirectory, 'service.log'), 'a', 0o640));
  try {
    const child = spawn(program, rest, {
      ...{ detached: true, stdio: ['ignore', log.fd, log.fd], cwd: '/' },
      ...(owner.isRoot ? { uid: owner.uid, gid: owner.gid } : {}),
    });
    // One that cannot be started never answers, and that is told.
    child.once('error', () => undefined);
    child.unref();
  } finally {
    await log.close();
  }
}

/** @throws SERVICE_UNREACHABLE */
async function isReady(cli: Cli, { client, config }: InitPlan): Promise<void> {
  const deadline = cli.clock.now().getTime() + START_DEADLINE_MS;
  for (;;) {
    try {
      await client.get<PingDocument>('/v1/ping', { deadlineSeconds: PING_SECONDS });
      return;
    } catch (error) {
      if (!isWaldenError(error, 'SERVICE_UNREACHABLE')) throw error;
      if (cli.clock.now().getTime() >= deadline) {
        throw new WaldenError('SERVICE_UNREACHABLE', 'the service was started, and does not answer', {
          hint: `read ${join(config.service.stateDirectory, 'service.log')}, or journalctl -u walden`,
          cause: error,
        });
      }
    }
    await cli.clock.sleep(POLL_MS, cli.interruption());
  }
}

/** @throws SERVER_SETTINGS when PostgreSQL has to be restarted before there can be a backup */
export async function archive(cli: Cli, { cluster }: InitPlan): Promise<SetupDocument> {
  const done = await withServer(cluster, (session) => setUp(cli, session, cluster, { role: 'primary', yes: true }));
  const isNew = done.settings.some(({ outcome }) => outcome === 'changed');
  if (!cli.json && isNew) cli.print(renderSetup(done));
  if (done.restart === null) return done;
  throw new WaldenError('SERVER_SETTINGS', 'archiving begins with the next start of PostgreSQL', {
    hint: `when it suits: ${done.restart}; then run walden init again, which goes on with the first backup`,
    details: { restart: done.restart },
  });
}

/** The first backup, unless there is one. @returns its id; undefined: not wanted */
export async function firstBackup(
  cli: Cli,
  { client, cluster }: InitPlan,
  isAnswered: boolean,
): Promise<string | undefined> {
  const status = await client.get<StatusDocument>(statusPath(cluster.name));
  const known = status.clusters.flatMap(({ repositories }) =>
    repositories.flatMap((one) => one.lastBackup?.id ?? []),
  )[0];
  if (known !== undefined) return known;
  if (!(await confirm(cli, 'Take the first backup now?', { isAnswered }))) return undefined;
  const job = await followJob(cli, client, await startJob(cli, client, clusterPath(cluster.name, 'backups'), {}));
  const { backups = [] } = job.result as { readonly backups?: readonly BackupDocument[] };
  if (!cli.json) cli.print(backups.map(renderBackup).join('\n\n'));
  return backups[0]?.id;
}

export async function showStatus(cli: Cli, { client, cluster }: InitPlan): Promise<void> {
  const status = await client.get<StatusDocument>(statusPath(cluster.name));
  cli.print(renderStatus(status, cli.clock.now()));
}

function statusPath(cluster: string): string {
  return `/v1/status?cluster=${encodeURIComponent(cluster)}`;
}
