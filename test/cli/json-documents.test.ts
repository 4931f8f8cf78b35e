import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type TSchema, Type, Value } from '../../src/typebox.ts';
import {
  BackupDocument,
  BackupList,
  JobDocument,
  Ping,
  PlanDocument,
  Status,
  WalGaps,
  WalList,
} from '../../src/service/api.ts';
import { ErrorBody } from '../../src/service/api-parts.ts';
import { NodeAnswer, NodeList } from '../../src/service/api-nodes.ts';
import { DrillDocument, DrillList, VerificationList } from '../../src/service/api-proof.ts';
import { WriterList } from '../../src/service/api-writers.ts';
import { ExpiryPlanDocument, ExpiryResult, HoldDocument } from '../../src/service/retention-api.ts';
import { WalRepairDocument } from '../../src/service/wal-repair-api.ts';
import { EventList, JobList } from '../../src/service/watch-api.ts';
import { archiveNow } from '../support/archiving.ts';
import { binDirectory } from '../support/postgres-binaries.ts';
import { newDirectory } from '../support/sandbox.ts';
import { leaveMark, type Scene, startScene } from '../support/scene.ts';
import { newestVersion } from '../support/tested-versions.ts';
import { appendConfiguration } from '../support/walden.ts';

/** In this order: a later one shows what an earlier one has made. `BACKUP` and `JOB` stand for what there is then. */
const COMMANDS: readonly (readonly [command: string, document: TSchema])[] = [
  ['ping', Ping],
  ['backup main', Type.Object({ job: JobDocument })],
  ['list main', BackupList],
  ['show main BACKUP', BackupDocument],
  ['keep main BACKUP --reason audit', HoldDocument],
  ['release main BACKUP', HoldDocument],
  ['plan main', PlanDocument],
  ['verify main', Type.Object({ cluster: Type.String(), result: Type.Unknown() })],
  ['show main --verified', VerificationList],
  ['drill main', Type.Object({ drill: DrillDocument })],
  ['show main --drills', DrillList],
  ['expire main --dry-run', ExpiryPlanDocument],
  ['expire main', Type.Object({ cluster: Type.String(), result: ExpiryResult })],
  ['wal list main', WalList],
  ['wal gaps main', WalGaps],
  ['wal repair main', WalRepairDocument],
  ['node add main other --conninfo host=/nonexistent', NodeAnswer],
  ['node list main', NodeList],
  ['node forget main other', NodeAnswer],
  ['cluster writer main', WriterList],
  ['job show JOB', JobDocument],
  ['jobs', JobList],
  ['events main', EventList],
  ['status main', Status],
];

describe('what commands print with --json', () => {
  let scene: Scene;
  beforeAll(async () => {
    const clusterSettings = [`pg_bin = "${binDirectory(newestVersion)}"`];
    scene = await startScene({ version: newestVersion, walden: { clusterSettings } });
    const { walden, server } = scene;
    await walden.stop();
    await appendConfiguration(walden, [
      ...['[retention.all]', 'cluster = "main"', 'minimum_backups = 1'],
      ...['[schedule.nightly]', 'cluster = "main"', 'job = "backup"', 'cron = "0 2 * * *"'],
    ]);
    await walden.start();
    await leaveMark(server, 'a');
    await archiveNow(server);
  });
  afterAll(async () => {
    await scene.dispose();
  });

  const found = { BACKUP: '', JOB: '' };

  it.each(COMMANDS)('%s: the document that the API describes, and nothing else', async (command, schema) => {
    const words = command.split(' ').map((word) => (word in found ? found[word as keyof typeof found] : word));
    const { format, ...document } = (await scene.walden.json(...words)) as Record<string, unknown>;
    expect(format).toBe(1);
    expect([...Value.Errors(schema, document)]).toEqual([]);
    expect(Value.Clean(schema, structuredClone(document))).toEqual(document);
    const { backups, job } = document as { backups?: { id: string }[]; job?: { id: string } };
    found.BACKUP = backups?.[0]?.id ?? found.BACKUP;
    found.JOB = job?.id ?? found.JOB;
  });

  it.each([
    ['config check', ['source', 'repositories', 'clusters']],
    ['script-config main', ['cluster', 'text']],
    ['setup main --dry-run', ['cluster', 'role', 'majorVersion', 'dryRun', 'settings', 'restart']],
    ['check main', ['cluster', 'outcome', 'failed', 'warnings', 'checks']],
    [
      'repository check local',
      [
        ...['repository', 'driver', 'steps', 'transfer', 'createOnlyBytes', 'maxConcurrency'],
        ...['uploadMemoryBytes', 'canDelete', 'failures'],
      ],
    ],
    ['repository du local', ['repository', 'clusters']],
    ['report main --html report.html', ['cluster', 'file', 'bytes']],
    ['catalog rebuild', ['job']],
  ])('%s: always the same members', async (command, members) => {
    const { format, ...document } = (await scene.walden.json(...command.split(' '))) as Record<string, unknown>;
    expect(format).toBe(1);
    expect(Object.keys(document)).toEqual(members);
  });

  it.each([
    ['list nobody', 5, 'NOT_FOUND'],
    ['show main 20200101T000000F', 5, 'NOT_FOUND'],
    ['plan main --time tomorrow', 2, 'USAGE'],
    ['no-such-command', 2, 'USAGE'],
  ])('%s: status %i, and the error as a document', async (command, status, code) => {
    const outcome = await scene.walden.attempt(...command.split(' '), '--json');
    expect(outcome.status).toBe(status);
    const { format, error } = JSON.parse(outcome.stdout) as { format: number; error: unknown };
    expect({ format, error: Value.Check(ErrorBody, error) }).toEqual({ format: 1, error: true });
    expect(error).toMatchObject({ code });
  });

  it('restores into a directory, with its document', async () => {
    const to = newDirectory('restored');
    const outcome = (await scene.walden.json('restore', 'main', '--to', to)) as { result: { to: string } };
    expect(outcome).toMatchObject({ format: 1, cluster: 'main', to, result: { to, cluster: 'main' } });
  });
});
