import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Catalog } from '../../../catalog/catalog.ts';
import { SqliteCatalog } from '../../../catalog/sqlite/sqlite-catalog.ts';
import { type Clock, systemClock } from '../../../src/platform/clock.ts';
import { systemIdentifier } from '../../../src/postgres/lsn.ts';
import { parseWalName, segmentBytes, segmentName, type WalFileName } from '../../../src/postgres/wal-name.ts';
import { beginOrRecognise } from '../../../src/repository/begin-or-recognise.ts';
import { ensureClusterFile } from '../../../src/repository/cluster-file.ts';
import { walKey, walPrefix } from '../../../src/repository/keys.ts';
import { clusterName, repositoryName } from '../../../src/repository/names.ts';
import type { Repository } from '../../../src/repository/repository.ts';
import type { ArchiveContext } from '../../../src/wal/archive-context.ts';
import { readSmallObject } from '../../../src/repository/object-bytes.ts';
import { openWalObject } from '../../../src/wal/open-object.ts';
import { Spool } from '../../../src/wal/spool.ts';
import { LocalDriver } from '../../../storage-drivers/local/local-driver.ts';
import { MemoryDriver } from '../../../storage-drivers/memory/memory-driver.ts';
import { newDirectory, removeDirectory } from '../sandbox.ts';
import { beginServerRun, buildSegment } from '../wal-setup.ts';
import { type Aftermath, Disk } from './disk.ts';
import { mortalCatalog } from './mortal-catalog.ts';
import { mortalDriver } from './mortal-driver.ts';
import { MortalProcess } from './mortal-process.ts';
import { sameThreadPool } from './same-thread-pool.ts';
import { forgetFiles, watchFiles } from './watched-files.ts';

const MAIN = clusterName('main');
const IDENTITY = {
  systemIdentifier: systemIdentifier('7300000000000000001'),
  majorVersion: 17,
  segmentBytes: segmentBytes(1 << 20),
};

/** Stands still, so that the same segment is the same object each time. */
const CLOCK: Clock = { ...systemClock, now: () => new Date('2026-11-22T02:15:00Z') };
/** Objects that were opened and found to be the segment, by their hash: there is no need to open the same bytes again. */
const SOUND = new Map<string, WalFileName>();
const SEGMENTS = new Map<bigint, Buffer>();

/** One run of the service over the scene. */
export interface ArchiveRun {
  readonly context: ArchiveContext;
  readonly spool: Spool;
}

/**
 * A cluster's WAL with a repository on the watched disk and one far away. Spool and staging directory are on the disk too,
 * the catalog keeps what it is told, and pg_wal is PostgreSQL's own business.
 */
export class ArchiveScene {
  readonly disk = new Disk(newDirectory('disk'));
  readonly dataDirectory = newDirectory('data');
  readonly #catalog: Catalog = SqliteCatalog.open(':memory:');
  readonly #far = new MemoryDriver();
  readonly #pool = sameThreadPool();
  readonly #segments = new Map<WalFileName, Buffer>();
  #boots = 1;

  static async make(segments: number): Promise<ArchiveScene> {
    const scene = new ArchiveScene();
    mkdirSync(join(scene.dataDirectory, 'pg_wal', 'archive_status'), { recursive: true });
    beginServerRun(scene.dataDirectory);
    for (let number = 1n; number <= BigInt(segments); number += 1n) scene.#addSegment(number);
    await watchFiles(scene.disk);
    return scene;
  }

  async remove(): Promise<void> {
    forgetFiles(this.disk);
    this.disk.remove();
    removeDirectory(this.dataDirectory);
    await this.#catalog.close();
  }

  /** The process is dead, or the host is, and started anew. */
  suffer(aftermath: Aftermath): void {
    this.disk.suffer(aftermath);
    if (aftermath !== 'killed') this.#boots += 1;
  }

  get #boot(): string {
    return `boot-${this.#boots}`;
  }

  get names(): readonly WalFileName[] {
    return [...this.#segments.keys()];
  }

  walPath(name: WalFileName): string {
    return join(this.dataDirectory, 'pg_wal', name);
  }

  plain(name: WalFileName): Buffer {
    return this.#segments.get(name)!;
  }

  /** Everything that a start of the service does before it takes WAL; to be called inside the process. */
  async start(process = new MortalProcess()): Promise<ArchiveRun> {
    const { root } = this.disk;
    const local = await LocalDriver.open({ root: this.#repositoryPath, instance: 'test', access: 'read-write' });
    const catalog = mortalCatalog(this.#catalog, process);
    const repositories: readonly Repository[] = [
      { name: repositoryName('local'), driver: local },
      { name: repositoryName('far'), driver: mortalDriver(this.#far, process) },
    ];
    for (const repository of repositories) await beginOrRecognise(repository, catalog);
    for (const repository of repositories) await ensureClusterFile(repository, MAIN, IDENTITY);
    await catalog.registerCluster(MAIN, IDENTITY);
    const spool = new Spool(join(root, 'spool'));
    await spool.open();
    await spool.sweep();
    await spool.claim(IDENTITY.systemIdentifier, this.#boot);
    const context: ArchiveContext = {
      ...{
        cluster: MAIN,
        identity: IDENTITY,
        catalog,
        repositories,
        required: repositories,
        pool: this.#pool,
        clock: CLOCK,
      },
      ...{ compressionLevel: 1, stagingDirectory: join(root, 'staging') },
    };
    return { context, spool };
  }

  /** What walden-push would believe. */
  acknowledged(): readonly string[] {
    return this.disk
      .files('spool/push')
      .filter((file) => file.endsWith('.ok'))
      .map((file) => file.slice('spool/push/'.length, -'.ok'.length));
  }

  /** What walden-fetch would take. */
  prefetched(): readonly WalFileName[] {
    const identity = this.disk.files('spool').includes('spool/identity')
      ? readFileSync(join(this.disk.root, 'spool', 'identity'), 'utf8')
      : '';
    if (!identity.endsWith(` ${this.#boot}\n`)) return [];
    return this.disk
      .files('spool/fetch')
      .map((file) => file.slice('spool/fetch/'.length))
      .filter((file) => !file.startsWith('.')) as WalFileName[];
  }

  /** Files that nobody will ever ask for again. */
  rubbish(): readonly string[] {
    return this.disk.files().filter((file) => /\/\.staging\/test\/|^staging\/|\.tmp$|^spool\/fetch\/\./.test(file));
  }

  /**
   * What must be true whatever happened: these WAL files are in every repository; whatever stands in one is whole and what
   * PostgreSQL wrote; and the catalog names only what is there.
   */
  async assertTruth(acknowledged: Iterable<string>): Promise<void> {
    const stored = new Map<string, Set<string>>();
    for (const repository of await this.#repositories()) {
      const names = new Set<string>();
      for (const name of this.#segments.keys()) if (await this.#holds(repository, name)) names.add(name);
      for await (const { key } of repository.driver.list(walPrefix(MAIN))) {
        expect([...names].map((name) => walKey(MAIN, parseWalName(name)))).toContain(key);
      }
      stored.set(repository.name, names);
      for await (const row of this.#catalog.walFiles(repository.name, MAIN)) expect(names).toContain(row.name);
    }
    for (const repository of ['local', 'far']) {
      for (const name of acknowledged) expect(stored.get(repository) ?? new Set(), repository).toContain(name);
    }
  }

  /** Whether the whole file is there; what is there in part or otherwise is thrown. */
  async #holds(repository: Repository, name: WalFileName): Promise<boolean> {
    const file = parseWalName(name);
    try {
      await repository.driver.stat(walKey(MAIN, file));
    } catch {
      return false;
    }
    const stored = await readSmallObject(repository.driver, walKey(MAIN, file), IDENTITY.segmentBytes);
    const hash = createHash('sha256').update(stored).digest('hex');
    if (SOUND.get(hash) === name) return true;
    const context = { cluster: MAIN, identity: IDENTITY, pool: this.#pool };
    const { sha256 } = await openWalObject(context, repository, file, undefined);
    expect(sha256).toBe(createHash('sha256').update(this.plain(name)).digest('hex'));
    SOUND.set(hash, name);
    return true;
  }

  async #repositories(): Promise<readonly Repository[]> {
    const far: Repository = { name: repositoryName('far'), driver: this.#far };
    if (!readdirSync(this.disk.root).includes('repository')) return [far];
    const local = await LocalDriver.open({ root: this.#repositoryPath, instance: 'look', access: 'read-only' });
    return [{ name: repositoryName('local'), driver: local }, far];
  }

  get #repositoryPath(): string {
    return join(this.disk.root, 'repository');
  }

  #addSegment(number: bigint): void {
    const name = segmentName(1 as Parameters<typeof segmentName>[0], number, IDENTITY.segmentBytes);
    const bytes = SEGMENTS.get(number) ?? buildSegment(number);
    SEGMENTS.set(number, bytes);
    writeFileSync(this.walPath(name), bytes);
    writeFileSync(join(this.dataDirectory, 'pg_wal', 'archive_status', `${name}.ready`), '');
    this.#segments.set(name, bytes);
  }
}
