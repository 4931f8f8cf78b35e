import { appendFileSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { NodeListDocument } from '../../src/service/api-nodes.ts';
import type { WalRepairDocument } from '../../src/service/wal-repair-api.ts';
import type { TestServer } from './postgres-server.ts';
import { restoreAndStart, type Scene } from './scene.ts';
import type { Outcome, WaldenHarness } from './walden.ts';

/** A standby of the scene's server that streams only, keeps its WAL, and archives once it is promoted. Walden does not know it. */
export async function streamingStandby(scene: Scene): Promise<TestServer> {
  const standby = await restoreAndStart(scene, ['--standby', '--take-over'], { waitFor: 'accepting' });
  await forgetNode(scene, standby);
  await standby.stop();
  follow(standby, scene.server);
  // Over what stands there: nothing may come by way of the archive.
  setLines(standby, ["wal_keep_size = '256MB'", "restore_command = ''"]);
  await standby.start('accepting');
  return standby;
}

async function forgetNode({ walden }: Scene, { dataDirectory }: TestServer): Promise<void> {
  const { clusters } = (await walden.json('node', 'list', 'main')) as NodeListDocument;
  const found = clusters[0]?.nodes.find((node) => node.dataDirectory === dataDirectory);
  await walden.run('node', 'forget', 'main', found!.name);
}

/** From its next start, or reload, on. */
export function follow(standby: TestServer, primary: TestServer): void {
  setLines(standby, [`primary_conninfo = 'host=${primary.socketDirectory} port=5432 user=postgres'`]);
}

function setLines({ dataDirectory }: TestServer, lines: readonly string[]): void {
  appendFileSync(join(dataDirectory, 'postgresql.auto.conf'), `${lines.join('\n')}\n`);
}

/** Nothing is archived from now on; PostgreSQL goes on to ask for it. */
export async function breakArchiving(server: TestServer): Promise<void> {
  await server.query(`alter system set archive_command = 'false'`);
  await server.query('select pg_reload_conf()');
}

/** Of a role that may replicate, and nothing else. */
export function repairerOf({ socketDirectory }: TestServer): string {
  return `host=${socketDirectory} port=5432 user=repairer`;
}

/** `work` with a data directory that has no WAL. */
export async function withoutWal<Result>({ dataDirectory }: TestServer, work: () => Promise<Result>): Promise<Result> {
  const [wal, away] = [join(dataDirectory, 'pg_wal'), join(dataDirectory, 'pg_wal.away')];
  await rename(wal, away);
  try {
    return await work();
  } finally {
    await rename(away, wal);
  }
}

export interface RepairOutcome {
  readonly status: number;
  readonly result: WalRepairDocument;
}

/** `walden wal repair main … --json`: its result, however it ended. */
export async function repairWal(walden: WaldenHarness, ...words: readonly string[]): Promise<RepairOutcome> {
  const outcome = await walden.attempt('wal', 'repair', 'main', ...words, '--json');
  return { status: outcome.status, result: resultOf(outcome) };
}

function resultOf({ status, stdout, stderr }: Outcome): WalRepairDocument {
  try {
    const document = JSON.parse(stdout) as WalRepairDocument | FailureDocument;
    return 'error' in document ? document.error.details.result : document;
  } catch {
    throw new Error(`walden wal repair: status ${status}\n${stdout}${stderr}`);
  }
}

interface FailureDocument {
  readonly error: { readonly details: { readonly result: WalRepairDocument } };
}
