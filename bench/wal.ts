import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { TestServer } from '../test/support/postgres-server.ts';
import { newDirectory, removeDirectory } from '../test/support/sandbox.ts';
import { drainIntoWalden } from './drain-into-walden.ts';
import { limitOfWal } from './limit.ts';
import { PgBackRest, pgBackRestVersion } from './pgbackrest.ts';
import { type Contender, type Figures, inTurn, printBars, printFigures, ratio, type Rounds } from './report.ts';
import { settleDisk } from './tree.ts';
import { drain, serverWithWal } from './wal-source.ts';

const SEGMENTS = 160;

/** The drain of segments that are ready, by PostgreSQL's own archiver. */
export async function benchWal(rounds: Rounds): Promise<void> {
  console.log(
    `\nwal: drain of ${SEGMENTS} segments of 16 MB, half of their bytes compressible, into a local repository`,
  );
  const server = await serverWithWal(SEGMENTS);
  const contenders: Contender[] = [1, 3].map((level) => ({
    name: `Walden, zstd ${level}`,
    run: () => drainIntoWalden(server, level),
  }));
  contenders.push({ name: 'cp and fsync', run: () => drainByCopy(server) });
  contenders.push({ name: 'nothing (/bin/true)', run: () => drain(server, '/bin/true', () => undefined) });
  if (pgBackRestVersion() === undefined) console.log('pgBackRest is not installed: skipped');
  else {
    for (const [level, async] of [
      [1, true],
      [3, true],
      [1, false],
    ] as const) {
      const name = `pgBackRest ${async ? 'async' : 'sync'}, zstd ${level}`;
      contenders.push({ name, run: () => drainIntoPgBackRest(server, level, async) });
    }
  }
  const wal = join(server.dataDirectory, 'pg_wal');
  const files = readdirSync(wal)
    .filter((name) => /^[0-9A-F]{24}$/.test(name))
    .toSorted()
    .slice(0, SEGMENTS);
  for (const level of [1, 3]) {
    contenders.push({
      name: `limit, zstd ${level}`,
      run: () => {
        settleDisk(wal);
        return limitOfWal(
          files.map((name) => join(wal, name)),
          level,
        );
      },
    });
  }
  try {
    const results = await inTurn(contenders, rounds);
    printFigures('wal', results);
    printBars([
      {
        what: 'segments/s over pgBackRest async, zstd 1',
        value: ratio(results, 'Walden, zstd 1', 'pgBackRest async, zstd 1', 'segments/s'),
        least: 1.4,
      },
      {
        what: 'segments/s over pgBackRest async, zstd 3',
        value: ratio(results, 'Walden, zstd 3', 'pgBackRest async, zstd 3', 'segments/s'),
        least: 1.25,
      },
      ...[1, 3].flatMap((level) => [
        {
          what: `p50 of a call, zstd ${level}, ms`,
          value: results.get(`Walden, zstd ${level}`)?.['p50 ms'] ?? Number.NaN,
          most: 4,
        },
        {
          what: `CPU per segment over pgBackRest async, zstd ${level}`,
          value: ratio(results, `Walden, zstd ${level}`, `pgBackRest async, zstd ${level}`, 'CPU ms/segment'),
          most: 1,
        },
        {
          what: `segments/s over the limit, zstd ${level}`,
          value: ratio(results, `Walden, zstd ${level}`, `limit, zstd ${level}`, 'segments/s'),
          least: 0.8,
        },
        {
          what: `peak MB, zstd ${level}`,
          value: results.get(`Walden, zstd ${level}`)?.['peak MB'] ?? Number.NaN,
          most: 350,
        },
      ]),
    ]);
  } finally {
    await server.dispose();
  }
}

async function drainIntoPgBackRest(server: TestServer, level: number, async: boolean): Promise<Figures> {
  const peer = new PgBackRest({ ...server, level, async });
  try {
    await peer.run('stanza-create');
    return await drain(server, peer.archiveCommand, (words) =>
      /^\S*pgbackrest .*archive-push:(async|local)/.test(words) ? 'own' : undefined,
    );
  } finally {
    peer.dispose();
  }
}

async function drainByCopy(server: TestServer): Promise<Figures> {
  const directory = newDirectory('copies');
  mkdirSync(directory, { recursive: true });
  try {
    return await drain(server, `cp %p ${directory}/%f && sync ${directory}/%f`, () => undefined);
  } finally {
    removeDirectory(directory);
  }
}
