import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Sha256Hex } from '../storage-drivers/driver.ts';
import { driverInUse } from '../storage-drivers/in-use.ts';
import { type DriverOptions, openDriver } from '../storage-drivers/registry.ts';
import { newDirectory, removeDirectory } from '../test/support/sandbox.ts';
import { startAzurite, whyNoAzurite } from '../test/support/stores/azurite.ts';
import { FakeGcs } from '../test/support/stores/fake-gcs.ts';
import { BUCKET, gcsOptions } from '../test/support/stores/gcs-setup.ts';
import { startRgw, whyNoRgw } from '../test/support/stores/rgw.ts';
import { S3Scene } from '../test/support/stores/s3-scene.ts';
import { Sshd } from '../test/support/stores/sshd.ts';
import { canBeApart, startApart, useAllCores } from './cores.ts';
import { type Contender, type Figures, inTurn, printBars, printFigures, ratio, type Rounds } from './report.ts';
import { sdkClient, sideBySide, type SourceFile, type StoreClient, waldenClient } from './store-clients.ts';
import { benchPushToStore } from './store-push.ts';
import { settleDisk } from './tree.ts';

const MEBIBYTE = 1024 ** 2;

/**
 * What is moved: as many at a time as the service moves of them with two workers. Packs of a backup are files; segments are
 * compressed into memory, and no other file of their name can be larger.
 */
const LOADS = [
  { what: '64 MiB', bytes: 64 * MEBIBYTE, count: 8, up: 2, down: 2, inMemory: false },
  { what: '16 MB', bytes: 16 * MEBIBYTE, count: 32, up: 4, down: 2, inMemory: true },
] as const;

/**
 * What a store in memory holds by the end of so many rounds: Ceph gives up what was removed hours later, and a full store
 * does not answer any more.
 */
function bytesOfRounds(rounds: number): number {
  const contenders = 2;
  return (rounds + 1) * contenders * LOADS.reduce((sum, { bytes, count }) => sum + bytes * count, 0);
}

/** The bytes of a repository to and from each kind of store that is far, beside the SDK of that store. */
export async function benchStores(rounds: Rounds): Promise<void> {
  const sources = newDirectory('sources');
  const loads = LOADS.map((load) => ({ ...load, files: makeFiles(sources, load) }));
  for (const { what, whyNot, isElsewhere, start } of STORES.filter(({ what }) => rounds.clusters.test(what))) {
    if (whyNot !== undefined) {
      console.log(`\n${what}: ${whyNot}`);
      continue;
    }
    const apart = isElsewhere && canBeApart;
    const store = await (apart ? startApart(() => start(rounds.rounds)) : start(rounds.rounds));
    const cores = apart ? ', the store on a core of its own' : '';
    console.log(`\nstores: ${what}, files of 64 MiB and of 16 MB, up and down, MB/s${cores}`);
    try {
      const results = await inTurn(contendersOf(store, loads, sources), rounds);
      printFigures(what, results);
      const figures = loads.flatMap((load) => [`${load.what} up`, `${load.what} down`]);
      printBars(
        figures.map((figure) => ({
          what: `${what}: ${figure} over the SDK`,
          value: ratio(results, 'Walden', 'SDK', figure),
          least: 0.9,
        })),
      );
    } finally {
      await store.end();
      if (apart) useAllCores();
    }
  }
  removeDirectory(sources);
  if (rounds.clusters.test('push')) await benchPushToStore(rounds);
}

type Loads = readonly ((typeof LOADS)[number] & { readonly files: readonly SourceFile[] })[];

interface BenchStore {
  readonly options: () => DriverOptions;
  readonly end: () => Promise<void>;
}

const STORES: readonly {
  readonly what: string;
  readonly whyNot: string | undefined;
  /** Not in this process. */
  readonly isElsewhere: boolean;
  readonly start: (rounds: number) => Promise<BenchStore>;
}[] = [
  { what: 'S3 on Ceph', whyNot: whyNoRgw(), isElsewhere: true, start: startS3 },
  { what: 'Azure on Azurite', whyNot: whyNoAzurite(), isElsewhere: true, start: startAzure },
  { what: "Google's protocol in this process", whyNot: undefined, isElsewhere: false, start: startGcs },
  { what: 'SFTP on sshd', whyNot: await Sshd.whyNot(), isElsewhere: true, start: startSftp },
];

async function startS3(rounds: number): Promise<BenchStore> {
  const scene = await S3Scene.start(() => startRgw({ storeBytes: bytesOfRounds(rounds) }));
  return { options: () => ({ driver: 's3', ...scene.options() }), end: () => scene.end() };
}

async function startAzure(): Promise<BenchStore> {
  const server = await startAzurite();
  return { options: () => ({ driver: 'azure', ...server.options() }), end: server.stop };
}

async function startGcs(): Promise<BenchStore> {
  const server = await FakeGcs.start();
  server.objects.addBucket(BUCKET);
  return { options: () => ({ driver: 'gcs', ...gcsOptions(server.url) }), end: () => server.stop() };
}

async function startSftp(): Promise<BenchStore> {
  const server = await Sshd.start();
  return {
    options: () => ({ driver: 'sftp', ...server.options, path: newDirectory('sftp') }),
    end: () => server.stop(),
  };
}

function contendersOf(store: BenchStore, loads: Loads, sources: string): readonly Contender[] {
  const run = async (open: (options: DriverOptions) => Promise<StoreClient>): Promise<Figures> => {
    settleDisk(sources);
    const options = store.options();
    const driver = await openDriver(options, { instance: 'bench', access: 'read-write' });
    const client = await open(options);
    const directory = newDirectory('down');
    const figures: Record<string, number> = {};
    for (const load of loads) Object.assign(figures, await move(client, load, directory));
    await client.close();
    // Some of these stores are in memory.
    for await (const { key } of driver.list('')) await driver.remove(key);
    await driver.close();
    removeDirectory(directory);
    return figures;
  };
  const walden = async (options: DriverOptions): Promise<StoreClient> => {
    const driver = await openDriver(options, { instance: 'bench', access: 'read-write' });
    const inUse = driverInUse(driver, { instance: 'bench', allowed: 'read-write' });
    return waldenClient(inUse, options.driver === 'sftp');
  };
  return [
    { name: 'Walden', run: () => run(walden) },
    { name: 'SDK', run: () => run(sdkClient) },
  ];
}

async function move(
  client: StoreClient,
  { what, files, bytes, up, down }: Loads[number],
  directory: string,
): Promise<Figures> {
  const figures: Record<string, number> = {};
  const timed = async (
    way: 'up' | 'down',
    most: number,
    work: (name: string, file: SourceFile) => Promise<void>,
  ): Promise<void> => {
    const [begin, usage] = [performance.now(), process.cpuUsage()];
    await sideBySide(files, most, (file) => work(basename(file.path), file));
    const milliseconds = performance.now() - begin;
    const { user, system } = process.cpuUsage(usage);
    figures[`${what} ${way}`] = (files.length * bytes) / 1000 / milliseconds;
    figures[`CPU ms/MiB, ${what} ${way}`] = ((user + system) / 1000 / files.length / bytes) * MEBIBYTE;
  };
  await timed('up', up, (name, file) => client.upload(name, file));
  await timed('down', down, (name, file) => client.download(name, file, directory));
  return figures;
}

function makeFiles(directory: string, { what, bytes, count, inMemory }: (typeof LOADS)[number]): readonly SourceFile[] {
  return Array.from({ length: count }, (_, index) => {
    const content = randomBytes(bytes);
    const path = join(directory, `${what.replace(' ', '-')}-${index}`);
    writeFileSync(path, content);
    const sha256 = createHash('sha256').update(content).digest('hex') as Sha256Hex;
    return { path, bytes, sha256, ...(inMemory ? { content: inSharedMemory(content) } : {}) };
  });
}

/** Where workers put what they have compressed. */
function inSharedMemory(content: Buffer): Buffer {
  const shared = Buffer.from(new SharedArrayBuffer(content.length));
  content.copy(shared);
  return shared;
}
