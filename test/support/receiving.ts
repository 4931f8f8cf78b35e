import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Lsn, parseLsn } from '../../src/postgres/lsn.ts';
import type { ReceiverDocument, StatusDocument } from '../../src/service/api.ts';
import { switchSegment } from './archiving.ts';
import { prepareLoad } from './load.ts';
import { type ServerOptions, startRestored, startServer, type TestServer } from './postgres-server.ts';
import { assertSound, freshTarget, type Scene } from './scene.ts';
import { segmentObject } from './stored.ts';
import { until } from './until.ts';
import { createWalden, type WaldenHarness, type WaldenOptions } from './walden.ts';

export const SLOT = 'walden_main';

export interface ReceivingOptions extends ServerOptions {
  readonly walden?: Omit<WaldenOptions, 'clusters'>;
  /** Of the cluster, besides `receive = true`. */
  readonly lines?: readonly string[];
}

/** As `startScene`, but WAL comes only by the receiver; segments are small. */
export async function startReceiving(options: ReceivingOptions): Promise<Scene> {
  const server = await startServer({ initdbArguments: ['--wal-segsize=1'], ...options });
  const walden = createWalden({
    ...options.walden,
    clusters: { main: server },
    clusterSettings: ['receive = true', ...(options.lines ?? [])],
  });
  await walden.start();
  await streaming(walden);
  await prepareLoad(server);
  await server.query('create table marks (mark text primary key)');
  return {
    server,
    walden,
    async dispose() {
      await server.dispose();
      await walden.kill();
    },
  };
}

export async function receiverOf(walden: WaldenHarness): Promise<ReceiverDocument> {
  const { clusters } = (await walden.json('status', 'main')) as StatusDocument;
  const receiver = clusters[0]?.receiver ?? null;
  if (receiver === null) throw new Error('the status shows no receiver');
  return receiver;
}

export async function streaming(walden: WaldenHarness): Promise<ReceiverDocument> {
  return await receiverThat(walden, 'the receiver to stream', ({ state }) => state === 'streaming');
}

export async function receiverThat(
  walden: WaldenHarness,
  what: string,
  condition: (receiver: ReceiverDocument) => boolean,
): Promise<ReceiverDocument> {
  return await until(
    async () => {
      const receiver = await receiverOf(walden);
      return condition(receiver) ? receiver : undefined;
    },
    { what, everyMs: 100, explain: () => walden.log() },
  );
}

/** Ends the current segment and waits until it is in the repository. */
export async function receivedNow(server: TestServer, walden: WaldenHarness): Promise<string> {
  const segment = await switchSegment(server);
  await inRepository(walden, segment);
  return segment;
}

/**
 * The gaps once all that was received is in the repository. The last segment may be there before others: several are stored at
 * a time, and each that failed is tried again at a time of its own.
 */
export async function gapsOfArchived(walden: WaldenHarness): Promise<unknown> {
  await receiverThat(walden, 'everything received to be stored', ({ waitingFiles }) => waitingFiles === 0);
  return await walden.json('wal', 'gaps', 'main');
}

/** Receives from others from the next start of the service on. */
export function receiveFrom(walden: WaldenHarness, conninfo: string): void {
  const lines = readFileSync(walden.configFile, 'utf8').split('\n');
  const others = lines.filter((line) => line !== '' && !line.startsWith('replication_conninfo'));
  writeFileSync(walden.configFile, [...others, `replication_conninfo = "${conninfo}"`, ''].join('\n'));
}

export async function inRepository(walden: WaldenHarness, segment: string, repository = 'local'): Promise<void> {
  await until(() => existsSync(segmentObject(walden, segment, repository)), {
    what: `${segment} to be in the repository ${repository}`,
    explain: () => walden.log(),
  });
}

export function receiveDirectory(walden: WaldenHarness): string {
  return join(walden.stateDirectory, 'spool', 'main', 'receive');
}

/** The segment that is being received, as far as it stands in the spool: without the zeros that may be written ahead. */
export function partialOf(walden: WaldenHarness): { readonly segment: string; readonly bytes: Buffer } {
  const directory = receiveDirectory(walden);
  const name = readdirSync(directory)
    .filter((entry) => entry.endsWith('.partial'))
    .sort()
    .at(-1);
  if (name === undefined) throw new Error(`${directory} holds no partial segment`);
  return { segment: name.slice(0, 24), bytes: withoutZeros(readFileSync(join(directory, name))) };
}

/** Once something of a segment, of this one if it is named, stands in the spool. */
export async function partialReceived(walden: WaldenHarness, segment?: string): Promise<ReturnType<typeof partialOf>> {
  const wanted = (): ReturnType<typeof partialOf> | undefined => {
    try {
      const partial = partialOf(walden);
      return partial.bytes.length > 0 && partial.segment === (segment ?? partial.segment) ? partial : undefined;
    } catch {
      // It has not begun yet.
      return undefined;
    }
  };
  return await until(wanted, { what: 'something to be received', explain: () => walden.log() });
}

/** Without those at its end. */
export function withoutZeros(bytes: Buffer): Buffer {
  return bytes.subarray(0, bytes.findLastIndex((byte) => byte !== 0) + 1);
}

/** Has the server's commits wait for the receiver, which calls itself so. */
export async function waitForReceiver(server: TestServer, applicationName: string): Promise<void> {
  await server.query(`alter system set synchronous_standby_names = '${applicationName}'`);
  await server.query('select pg_reload_conf()');
  await until(async () => (await server.value('select sync_state from pg_stat_replication')) === 'sync', {
    what: 'the receiver to be a synchronous standby',
  });
}

/** What an operator does when the server is lost. The service runs. */
export async function restoreAtOnce({ server, walden }: Scene): Promise<TestServer> {
  const to = freshTarget();
  await walden.run('restore', 'main', '--to', to);
  const restored = await startRestored(to, { version: server.version });
  await assertSound(restored);
  return restored;
}

/** What the server was told to be safe, as its slot says. */
export async function slotPosition(server: TestServer): Promise<Lsn> {
  return parseLsn(await server.value('select restart_lsn from pg_replication_slots where slot_name = $1', [SLOT]));
}
