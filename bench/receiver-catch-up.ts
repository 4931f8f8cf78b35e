import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Settings, startServer, type TestServer } from '../test/support/postgres-server.ts';
import { SLOT } from '../test/support/receiving.ts';
import { newDirectory, removeDirectory } from '../test/support/sandbox.ts';
import { segmentObject } from '../test/support/stored.ts';
import { until } from '../test/support/until.ts';
import { createWalden } from '../test/support/walden.ts';
import { dropSlot, PEER_SLOT, pgReceivewal, startReceivewal } from './pg-receivewal.ts';
import { UsageMeter } from './processes.ts';
import { type Contender, type Figures, inTurn, printBars, printFigures, ratio, type Rounds } from './report.ts';
import { settleDisk } from './tree.ts';
import { addWal } from './wal-source.ts';

const SEGMENTS = 128;
/** Received before them: who catches up has been up for long, and what his start takes does not count. */
const WARM_SEGMENTS = 8;
const SEGMENT_BYTES = 16 * 1024 * 1024;
/** Keeps the position that everybody begins at. */
const BEGIN = 'begin';
const WATCH = { deadlineMs: 600_000, everyMs: 20 };

const SETTINGS: Settings = {
  fsync: 'on',
  wal_level: 'replica',
  shared_buffers: '256MB',
  max_wal_size: '200GB',
  wal_keep_size: '200GB',
  checkpoint_timeout: '1d',
  autovacuum: 'off',
};

interface Source {
  readonly server: TestServer;
  /** The last segment of those that are received before, and of all. */
  readonly warm: string;
  readonly last: string;
}

/** WAL that has gathered on the server, from when the receiver has some of it until the last segment is safe. */
export async function benchCatchUp(rounds: Rounds): Promise<void> {
  console.log(`\nreceiver: catching up ${SEGMENTS} segments of 16 MB, half of their bytes compressible`);
  const server = await startServer({ version: 15, settings: SETTINGS });
  try {
    await server.query('select pg_create_physical_replication_slot($1, true)', [BEGIN]);
    const names = await addWal(server, WARM_SEGMENTS + SEGMENTS);
    const source: Source = { server, warm: names[WARM_SEGMENTS - 1] ?? '', last: names.at(-1) ?? '' };
    const contenders: Contender[] = [{ name: 'Walden, zstd 1', run: () => byWalden(source) }];
    if (pgReceivewal === undefined) console.log('pg_receivewal 15 is not installed: skipped');
    else contenders.push({ name: 'pg_receivewal', run: () => byReceivewal(source) });
    const results = await inTurn(contenders, rounds);
    printFigures('catching up', results);
    printBars([
      {
        what: 'segments/s over pg_receivewal',
        value: ratio(results, 'Walden, zstd 1', 'pg_receivewal', 'segments/s'),
        least: 1,
      },
    ]);
  } finally {
    await server.dispose();
  }
}

/** Until the slot has moved behind the last segment, which it does when everything before is durable in the repository. */
async function byWalden({ server, warm, last }: Source): Promise<Figures> {
  const clusterSettings = ['receive = true', 'wal_compression_level = 1'];
  const walden = createWalden({ clusters: { main: server }, clusterSettings });
  const client = await server.client();
  const moved = `select restart_lsn - '0/0'::pg_lsn >= $2::numeric as moved from pg_replication_slots where slot_name = $1`;
  const received = async (segment: string): Promise<void> => {
    await until(async () => (await client.query<{ moved: boolean }>(moved, [SLOT, endOf(segment)])).rows[0]?.moved, {
      what: 'Walden to catch up',
      explain: () => walden.log(),
      ...WATCH,
    });
  };
  try {
    await beginAgain(server, SLOT);
    const started = walden.start();
    // Told below.
    started.catch(() => undefined);
    await received(warm);
    const figures = await measured(walden.pid, () => received(last));
    await started;
    if (!existsSync(segmentObject(walden, last))) throw new Error(`${last} is not in the repository`);
    return figures;
  } finally {
    await client.end();
    await walden.stop();
    await dropSlot(server, SLOT);
    removeDirectory(walden.directory);
  }
}

/** Until the last segment has its name: it is fsynced before, and so is each segment before the next one is begun. */
async function byReceivewal({ server, warm, last }: Source): Promise<Figures> {
  const directory = newDirectory('receivewal');
  const received = async (segment: string): Promise<void> => {
    await until(() => existsSync(join(directory, segment)), { what: 'pg_receivewal to catch up', ...WATCH });
  };
  await beginAgain(server, PEER_SLOT);
  const peer = startReceivewal(server, { directory });
  try {
    await received(warm);
    return await measured(peer.pid, () => received(last));
  } finally {
    await peer.stop();
    await dropSlot(server, PEER_SLOT);
    removeDirectory(directory);
  }
}

async function beginAgain(server: TestServer, slot: string): Promise<void> {
  await server.query('select pg_copy_physical_replication_slot($1, $2)', [BEGIN, slot]);
  settleDisk(join(server.dataDirectory, 'pg_wal'));
}

async function measured(receiver: number | undefined, work: () => Promise<void>): Promise<Figures> {
  const meter = new UsageMeter((_words, pid) => (pid === receiver ? 'own' : undefined));
  const begin = performance.now();
  await work();
  const seconds = (performance.now() - begin) / 1000;
  const { cpuSeconds, peakBytes } = meter.stop();
  return {
    'segments/s': SEGMENTS / seconds,
    'MB/s': (SEGMENTS * SEGMENT_BYTES) / seconds / 1e6,
    'CPU ms/segment': (cpuSeconds * 1000) / SEGMENTS,
    'peak MB': peakBytes / 1024 ** 2,
  };
}

/** The position behind a segment, as a number. */
function endOf(segment: string): string {
  const number = BigInt(`0x${segment.slice(8, 16)}`) * 256n + BigInt(`0x${segment.slice(16)}`);
  return ((number + 1n) * BigInt(SEGMENT_BYTES)).toString();
}
