import { join } from 'node:path';
import PQueue from 'p-queue';
import { isWaldenError, WaldenError, withContext } from '../errors.ts';
import type { Sha256Hex } from '../../storage-drivers/driver.ts';
import { readControlFile } from '../postgres/control-file.ts';
import { currentServerRun, type ServerRun } from '../postgres/server-run.ts';
import { microsFromDate } from '../postgres/timestamp.ts';
import { type ParsedWalName, parseWalName, type WalFileName } from '../postgres/wal-name.ts';
import type { ArchiveContext } from './archive-context.ts';
import { readyFiles } from './archive-status.ts';
import type { WalFileSource } from './file-source.ts';
import type { Spool } from './spool.ts';
import { storeWalFile } from './store.ts';
import type { ToldNode } from './wal-node.ts';
import { type WalBearer, WriterRule } from './writer-rule.ts';

/** PostgreSQL is waiting for this one; look-ahead is not. */
const REQUESTED = 1;
const AHEAD = 0;
/** For how many files more, and how long at most, an answer waits while there is a backlog. */
const AHEAD_FILES = 6;
const AHEAD_MS = 500;
/** A refused file that PostgreSQL no longer waits for, and nobody has offered for an hour, is history. */
const REFUSAL_KEPT_MICROS = 3_600_000_000;

export interface PushPlace {
  /** Undefined where the node is elsewhere: then files are only given. */
  readonly dataDirectory: string | undefined;
  readonly spool: Spool;
  /** Told when a file is durable everywhere that it must be. */
  readonly archived?: () => void;
}

/**
 * The way in for one cluster's WAL. PostgreSQL asks for one file at a time; while that one is archived, so is every other
 * that is ready, oldest first, and each is acknowledged in the spool once it is durable everywhere, so that PostgreSQL's
 * next calls find their answer there.
 *
 * A failure ahead is told to nobody: when PostgreSQL asks for that file, it is tried anew and the error is told then.
 */
export class WalPusher {
  readonly #context: ArchiveContext;
  readonly #place: PushPlace;
  readonly #spool: Spool;
  readonly #queue: PQueue;
  readonly #archived: () => void;
  readonly #rule: WriterRule;
  readonly #inFlight = new Map<WalFileName, Promise<void>>();
  #scanning: Promise<void> | undefined;
  /** Whom the acknowledgements in the spool were given to. */
  #run: ServerRun | undefined;
  #stopped = false;

  constructor(context: ArchiveContext, place: PushPlace) {
    this.#context = context;
    this.#archived = place.archived ?? (() => undefined);
    this.#place = place;
    this.#spool = place.spool;
    this.#rule = new WriterRule(context, place.dataDirectory);
    // More than there are workers, so that none waits while the files of others are sent or fsynced, and recorded.
    this.#queue = new PQueue({ concurrency: context.pool.threads * 3 });
  }

  /** @throws CONFIG_INVALID */
  get #dataDirectory(): string {
    const { dataDirectory } = this.#place;
    if (dataDirectory !== undefined) return dataDirectory;
    throw new WaldenError('CONFIG_INVALID', `cluster ${this.#context.cluster} has no data_directory to read WAL from`, {
      hint: 'let its WAL be received: receive = true; or name the data directory of the node on this host',
    });
  }

  /** Archives `pg_wal/<name>` of the cluster's data directory. Resolves when it is durable. */
  async push(name: string): Promise<void> {
    const file = parseWalName(name);
    this.#assertRunning();
    await this.#enqueue(file, REQUESTED, this.#lookAheadAfter(file));
    await this.#getAhead();
  }

  /**
   * Holds the answer a little while there is a backlog, until some more files are acknowledged: then PostgreSQL's next calls
   * find their answers in the spool, where each would otherwise come just too early and cost a request of its own.
   */
  async #getAhead(): Promise<void> {
    await this.#scanning;
    const waiting = [...this.#inFlight.values()].slice(0, AHEAD_FILES);
    if (waiting.length === 0) return;
    const ended = new AbortController();
    try {
      await Promise.race([
        Promise.allSettled(waiting),
        this.#context.clock.sleep(AHEAD_MS, ended.signal).catch(() => undefined),
      ]);
    } finally {
      ended.abort();
    }
  }

  /**
   * Archives a file that lies elsewhere; the caller removes it afterwards.
   * @param bearer the node whose archive_command brings it; without one, an operator has brought a file that a dead primary
   * left, say, or the receiver: these say nothing of who writes
   */
  async pushFrom(name: string, source: WalFileSource, bearer?: ToldNode): Promise<void> {
    const file = parseWalName(name);
    this.#assertRunning();
    await this.#queue.add(() => this.#archive(file, source, bearer), { priority: REQUESTED });
  }

  /** Takes no more, refuses what waits, ends what runs. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#queue.onIdle();
  }

  async #enqueue(file: ParsedWalName, priority: number, then: () => void = () => undefined): Promise<void> {
    const running = this.#inFlight.get(file.name);
    if (running !== undefined) {
      if (priority === REQUESTED) this.#hurry(file.name);
      then();
      await running;
      return;
    }
    const work = this.#queue
      .add(() => this.#archiveLocal(file), { id: file.name, priority })
      .finally(() => {
        this.#inFlight.delete(file.name);
      });
    this.#inFlight.set(file.name, work);
    then();
    await work;
  }

  #hurry(name: WalFileName): void {
    try {
      this.#queue.setPriority(name, REQUESTED);
    } catch {
      // It runs already: nothing is faster than that.
    }
  }

  /** Starts one scan for more files, unless one is under way. */
  #lookAheadAfter(file: ParsedWalName): () => void {
    return () => {
      if (this.#scanning !== undefined) return;
      this.#scanning = this.#lookAhead(file.name)
        // A directory that cannot be listed only means no look-ahead; PostgreSQL still asks for each file.
        .catch(() => undefined)
        .finally(() => (this.#scanning = undefined));
    };
  }

  async #lookAhead(requested: WalFileName): Promise<void> {
    // Somebody may have removed it: that costs acknowledgements, and not for ever.
    await this.#spool.open();
    const ready = await readyFiles(this.#dataDirectory);
    const names = new Set<string>(ready.map((file) => file.name));
    const run = await currentServerRun(this.#dataDirectory);
    const isOther = run !== this.#run;
    // Those that another run of the server was given are believed by nobody.
    await this.#spool.forgetAcknowledgements((name) => isOther || !names.has(name));
    this.#run = run;
    await this.#forgetOldRefusals(names);
    const acknowledged = await this.#spool.acknowledged();
    const ahead = ready.filter((file) => file.name !== requested && !acknowledged.has(file.name));
    for (const file of ahead) {
      if (this.#stopped) return;
      // Its error is recorded by #archive and told when PostgreSQL asks for the file.
      this.#enqueue(file, AHEAD).catch(() => undefined);
    }
  }

  async #forgetOldRefusals(ready: ReadonlySet<string>): Promise<void> {
    const { catalog, cluster, clock } = this.#context;
    const now = microsFromDate(clock.now());
    for (const { name, lastAt } of await catalog.refusals(cluster)) {
      if (!ready.has(name) && now - lastAt > REFUSAL_KEPT_MICROS) await catalog.clearRefusal(cluster, name);
    }
  }

  async #archiveLocal(file: ParsedWalName): Promise<void> {
    if (file.kind === 'history' || file.kind === 'backup') await this.#assertOwnDataDirectory();
    // Seen before the file is read: when the server is another one by the end, it must not believe this.
    const run = await currentServerRun(this.#dataDirectory);
    await this.#archive(file, join(this.#dataDirectory, 'pg_wal', file.name), 'configured');
    if (run === undefined) return;
    // A scan under way is about to forget what another run of the server was told: this is not that.
    await this.#scanning;
    // A spool that is full, gone or closed must not make an error of what is durable: the server asks again, that is all.
    await this.#spool.acknowledge(file.name, run).catch(() => undefined);
  }

  async #archive(file: ParsedWalName, source: WalFileSource, bearer: WalBearer | undefined): Promise<void> {
    this.#assertRunning();
    const { catalog, cluster } = this.#context;
    const admit = bearer === undefined ? undefined : (sha256: Sha256Hex) => this.#rule.admit(file, bearer, sha256);
    try {
      await storeWalFile(this.#context, file, source, admit);
    } catch (thrown) {
      const error = withContext(thrown, `unable to archive ${file.name}`);
      // Not there any more: PostgreSQL had it archived in the meantime.
      if (isWaldenError(error, 'ARCHIVE_FILE_MISSING')) throw error;
      throw await this.#rule.failed(file, bearer, error);
    }
    this.#archived();
    await catalog.clearRefusal(cluster, file.name);
  }

  /** A text file does not say whose it is; the data directory that it lies in does. */
  async #assertOwnDataDirectory(): Promise<void> {
    const { systemIdentifier } = await readControlFile(this.#dataDirectory);
    if (systemIdentifier === this.#context.identity.systemIdentifier) return;
    throw new WaldenError(
      'SERVER_MISMATCH',
      `the data directory ${this.#dataDirectory} has system identifier ${systemIdentifier}, cluster ${this.#context.cluster} has ${this.#context.identity.systemIdentifier}`,
    );
  }

  #assertRunning(): void {
    if (this.#stopped) throw new WaldenError('INTERRUPTED', 'the service is stopping');
  }
}
