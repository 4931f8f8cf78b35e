import { mkdtempSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { installedTool } from '../test/support/postgres-binaries.ts';
import { type Settings, startServer, type TestServer } from '../test/support/postgres-server.ts';
import { SLOT } from '../test/support/receiving.ts';
import { newDirectory, removeDirectory } from '../test/support/sandbox.ts';
import { until } from '../test/support/until.ts';
import { createWalden, runProgram } from '../test/support/walden.ts';
import { dropSlot, PEER_SLOT, pgReceivewal, startReceivewal } from './pg-receivewal.ts';
import { UsageMeter } from './processes.ts';
import { type Contender, type Figures, inTurn, printBars, printFigures, ratio, type Rounds } from './report.ts';
import { settleDisk } from './tree.ts';

const SECONDS = 20;
const CLIENTS = 4;
const SCALE = 10;

/** As a server in production; checkpoints would fall into one turn and not into another. */
const SETTINGS: Settings = {
  fsync: 'on',
  wal_level: 'replica',
  shared_buffers: '256MB',
  max_wal_size: '20GB',
  checkpoint_timeout: '1d',
  autovacuum: 'off',
};

/**
 * Transactions of pgbench while each commit waits for a receiver: on the same disk, or, as where it runs on a host of its own, on
 * another one, which `--receivers` names a directory of.
 */
export async function benchSynchronous(rounds: Rounds): Promise<void> {
  const pgbench = installedTool(15, 'pgbench');
  if (pgbench === undefined || pgReceivewal === undefined) {
    console.log('\nreceiver: pgbench or pg_receivewal 15 is not installed: skipped');
    return;
  }
  const { receivers } = rounds;
  const disk = receivers === undefined ? "the receiver's, the cluster's too" : `the receiver's own, ${receivers}`;
  console.log(`\nreceiver: pgbench -N with ${CLIENTS} clients for ${SECONDS} s, commits wait for a disk: ${disk}`);
  const server = await startServer({ version: 15, settings: SETTINGS });
  const run = (receiver?: Receiver): Promise<Figures> => transactions(server, pgbench, receiver);
  const contenders: Contender[] = [
    { name: 'Walden', run: () => withWalden(server, run, receivers) },
    { name: 'pg_receivewal --synchronous', run: () => withReceivewal(server, run, receivers) },
    { name: 'no standby', run: () => run() },
  ];
  try {
    await pgbenchOn(server, pgbench, ['-i', '-q', '-s', String(SCALE)]);
    const results = await inTurn(contenders, rounds);
    printFigures('synchronous', results);
    printBars([
      {
        what: 'transactions/s over pg_receivewal --synchronous',
        value: ratio(results, 'Walden', 'pg_receivewal --synchronous', 'tx/s'),
        least: 2,
      },
    ]);
  } finally {
    await server.dispose();
  }
}

/** Whom commits wait for. */
interface Receiver {
  readonly name: string;
  readonly pid: number | undefined;
}

type Run = (receiver: Receiver) => Promise<Figures>;

async function withWalden(server: TestServer, run: Run, receivers?: string): Promise<Figures> {
  const spool = receivers === undefined ? undefined : mkdtempSync(join(receivers, 'walden-'));
  const place = spool === undefined ? [] : [`spool_directory = "${spool}"`];
  const clusterSettings = ['receive = true', 'acknowledge = "spool"', 'wal_compression_level = 1', ...place];
  const walden = createWalden({ clusters: { main: server }, clusterSettings });
  try {
    await walden.start();
    return await run({ name: 'walden', pid: walden.pid });
  } finally {
    await walden.stop();
    await dropSlot(server, SLOT);
    removeDirectory(walden.directory);
    if (spool !== undefined) removeDirectory(spool);
  }
}

async function withReceivewal(server: TestServer, run: Run, receivers?: string): Promise<Figures> {
  const directory = receivers === undefined ? newDirectory('receivewal') : mkdtempSync(join(receivers, 'receivewal-'));
  await server.query('select pg_create_physical_replication_slot($1, true)', [PEER_SLOT]);
  const peer = startReceivewal(server, { directory, words: ['--synchronous'] });
  try {
    return await run({ name: PEER_SLOT, pid: peer.pid });
  } finally {
    await peer.stop();
    await dropSlot(server, PEER_SLOT);
    removeDirectory(directory);
  }
}

async function transactions(server: TestServer, pgbench: string, receiver?: Receiver): Promise<Figures> {
  await server.query('checkpoint');
  settleDisk(join(server.dataDirectory, 'base'));
  await setSynchronous(server, receiver?.name ?? '');
  try {
    const meter = new UsageMeter((_words, pid) => (pid === receiver?.pid ? 'own' : undefined));
    const threads = String(Math.min(CLIENTS, availableParallelism()));
    const words = ['-N', '-n', '-c', String(CLIENTS), '-j', threads, '-T', String(SECONDS)];
    const printed = await pgbenchOn(server, pgbench, words);
    const { cpuSeconds, peakBytes } = meter.stop();
    const perSecond = numberIn(printed, /^tps = ([\d.]+)/m);
    return {
      'tx/s': perSecond,
      'latency ms': numberIn(printed, /^latency average = ([\d.]+) ms/m),
      'receiver CPU us/tx': (cpuSeconds * 1e6) / (perSecond * SECONDS),
      'peak MB': peakBytes / 1024 ** 2,
    };
  } finally {
    // Before the receiver goes: a commit would wait for it for ever.
    await setSynchronous(server, '');
  }
}

async function setSynchronous(server: TestServer, name: string): Promise<void> {
  await server.query(`alter system set synchronous_standby_names = '${name}'`);
  await server.query('select pg_reload_conf()');
  const state = 'select coalesce(max(sync_state), $1) from pg_stat_replication';
  const wanted = name === '' ? ['async', 'none'] : ['sync'];
  await until(async () => wanted.includes(await server.value(state, ['none'])), {
    what: name === '' ? 'commits to wait for nobody' : `${name} to be a synchronous standby`,
  });
}

async function pgbenchOn(server: TestServer, pgbench: string, words: readonly string[]): Promise<string> {
  const place = ['-h', server.socketDirectory, '-U', 'postgres'];
  const { status, stdout, stderr } = await runProgram(pgbench, [...words, ...place, 'postgres'], {
    deadlineMs: 600_000,
  });
  if (status !== 0) throw new Error(`pgbench ${words.join(' ')}: status ${status}\n${stdout}${stderr}`);
  return stdout;
}

function numberIn(text: string, pattern: RegExp): number {
  return Number(pattern.exec(text)?.[1]);
}
