import { startRgw, type Rgw, whyNoRgw } from '../test/support/stores/rgw.ts';
import { S3Scene } from '../test/support/stores/s3-scene.ts';
import { sectionOf } from '../test/support/stores/store-under-test.ts';
import type { TestServer } from '../test/support/postgres-server.ts';
import { drainIntoWalden } from './drain-into-walden.ts';
import { PgBackRest, pgBackRestVersion } from './pgbackrest.ts';
import { limitOfStore } from './store-limit.ts';
import { type Contender, type Figures, inTurn, printBars, printFigures, ratio, type Rounds } from './report.ts';
import { drain, serverWithWal } from './wal-source.ts';

const SEGMENTS = 150;
const LEVELS = [1, 3];

/** The drain of segments that are ready into one object gateway over TLS, which begins empty each time. */
export async function benchPushToStore(rounds: Rounds): Promise<void> {
  const whyNot = whyNoRgw() ?? (pgBackRestVersion() === undefined ? 'pgBackRest is not installed' : undefined);
  if (whyNot !== undefined) {
    console.log(`\npush to S3: ${whyNot}`);
    return;
  }
  console.log(
    `\nstores: push of ${SEGMENTS} segments of 16 MB, half of their bytes compressible, to S3 on Ceph over TLS`,
  );
  const server = await serverWithWal(SEGMENTS);
  const contenders: Contender[] = LEVELS.flatMap((level) => [
    { name: `Walden, zstd ${level}`, run: () => withStore((scene) => byWalden(scene, server, level)) },
    { name: `pgBackRest, zstd ${level}`, run: () => withStore((scene) => byPgBackRest(scene, server, level)) },
  ]);
  contenders.push({ name: 'the store alone', run: () => withStore(limitOfStore) });
  try {
    const results = await inTurn(contenders, rounds);
    printFigures('push to S3', results);
    printBars(
      LEVELS.map((level) => ({
        what: `segments/s over pgBackRest, zstd ${level}`,
        value: ratio(results, `Walden, zstd ${level}`, `pgBackRest, zstd ${level}`, 'segments/s'),
        least: 1.5,
      })),
    );
  } finally {
    await server.dispose();
  }
}

type Scene = S3Scene<Rgw>;

async function withStore(run: (scene: Scene) => Promise<Figures>): Promise<Figures> {
  const scene = await S3Scene.start(startRgw);
  try {
    return await run(scene);
  } finally {
    await scene.end();
  }
}

/** pgBackRest does not know addresses in certificates. */
function byName({ tlsEndpoint }: Rgw): string {
  return tlsEndpoint.replace('127.0.0.1', 'localhost');
}

async function byWalden(scene: Scene, server: TestServer, level: number): Promise<Figures> {
  const { caFile } = scene.server;
  const options = scene.options({ endpoint: byName(scene.server), caFile });
  return await drainIntoWalden(server, level, {
    repositories: ['far'],
    stores: { far: sectionOf({ driver: 's3', ...options }) },
  });
}

async function byPgBackRest({ bucket, server: store }: Scene, server: TestServer, level: number): Promise<Figures> {
  const peer = new PgBackRest({ ...server, level, async: true, s3: { ...store, bucket, tlsEndpoint: byName(store) } });
  try {
    await peer.run('stanza-create');
    return await drain(server, peer.archiveCommand, (words) =>
      /^\S*pgbackrest .*archive-push:(async|local)/.test(words) ? 'own' : undefined,
    );
  } finally {
    peer.dispose();
  }
}
