import { errorToDocument, isWaldenError, toWaldenError, WaldenError, withContext } from '../../errors.ts';
import { type HostList, parseHostList } from '../../postgres/conninfo.ts';
import { formatLsn } from '../../postgres/lsn.ts';
import { ReplicationConnection, sqlstateOf } from '../../postgres/replication/connection.ts';
import { microsFromDate } from '../../postgres/timestamp.ts';
import { segmentName } from '../../postgres/wal-name.ts';
import type { ArchiveContext } from '../archive-context.ts';
import type { PlannedStart } from './plan-start.ts';
import { prepareSession } from './prepare-session.ts';
import { assertSpoolHasRoom, ReceiveSession } from './receive-session.ts';
import { ReceivedFiles } from './received-files.ts';
import type { ReceiverDeps, ReceiverGap, ReceiverOptions, ReceiverState, ReceiverStatus } from './receiver-options.ts';
import { ReceiveSpool } from './receive-spool.ts';
import type { SpooledTailSource } from './spooled-tail.ts';

const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 15_000;
/** The server no longer has what was asked for (walsender.c: "requested WAL segment has already been removed"). */
const UNDEFINED_FILE = '58P01';
/** From PostgreSQL 18 on: the server has given the slot up, although that may still say where its WAL begins (slot.c). */
const NOT_IN_PREREQUISITE_STATE = '55000';

/** Not over by themselves, as a server that restarts is. */
const LOUD = ['SERVER_MISMATCH', 'ARCHIVE_DUPLICATE', 'STORAGE_FULL', 'LOCAL_IO', 'INTERNAL'] as const;

interface Host {
  readonly config: HostList['hosts'][number];
  readonly target: HostList['target'];
  readonly isOnlyHost: boolean;
}

/**
 * Receives the WAL of one cluster from one server, for as long as it runs. Sessions follow each other: each finds out anew
 * who the server is and where to go on, and ends with the connection, the timeline, or a failure, which is told and tried
 * again after a pause that grows.
 */
export class WalReceiver {
  readonly #deps: ReceiverDeps;
  readonly #options: ReceiverOptions;
  readonly #spool: ReceiveSpool;
  /** As in the options, or as it was told since. */
  #conninfo: string;
  #stop = new AbortController();
  #running: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;
  #state: ReceiverState = 'stopped';
  #files: ReceivedFiles | undefined;
  #connection: ReplicationConnection | undefined;
  #session: ReceiveSession | undefined;
  #plan: PlannedStart | undefined;
  #host: string | undefined;
  #failure: ReceiverStatus['failure'];
  #caughtUpAt: ReceiverStatus['caughtUpAt'];
  #gap: ReceiverGap | undefined;
  /** As StartKnown: kept until a session gets further. */
  #lost: bigint | undefined;
  /** As SessionStart: kept until a session gets further. */
  #slotGivenUp = false;

  constructor(deps: ReceiverDeps, options: ReceiverOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#conninfo = options.conninfo;
    this.#spool = new ReceiveSpool(options.spoolDirectory);
  }

  /** One that runs already goes on. */
  async start(): Promise<void> {
    await this.#stopping;
    if (this.#running !== undefined) return;
    this.#stop = new AbortController();
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
      this.#state = 'stopped';
    });
  }

  /** Ends the session. What has come is in the spool then, and goes on from there at the next start. */
  async stop(): Promise<void> {
    this.#stopping ??= this.#end().finally(() => {
      this.#stopping = undefined;
    });
    await this.#stopping;
  }

  /**
   * Begins anew behind what the repositories have: the segment that was being received, and whole ones that the repositories
   * refuse, are put aside. Nothing is removed, neither here nor on the server. @returns where they are
   */
  async reset(): Promise<readonly string[]> {
    const refused = this.#files?.refused ?? [];
    await this.stop();
    await this.#spool.open();
    const kept: string[] = [];
    for (const { segment } of await this.#spool.partials()) kept.push(await this.#spool.keep(segment));
    for (const file of refused) kept.push(await this.#spool.keepFinished(file));
    this.#lost = undefined;
    this.#gap = undefined;
    this.#failure = undefined;
    this.#deps.log.warn({ kept }, `the receiver begins anew: ${kept.length} files of its spool were put aside`);
    await this.start();
    return kept;
  }

  /** From this server from now on: a session that runs ends, and what has come goes on from there. One that is stopped stays so. */
  async follow(conninfo: string): Promise<void> {
    const wasRunning = this.#running !== undefined;
    await this.stop();
    this.#conninfo = conninfo;
    this.#host = undefined;
    this.#failure = undefined;
    if (wasRunning) await this.start();
  }

  async #end(): Promise<void> {
    this.#stop.abort();
    const stopped = this.#files?.stop();
    await this.#connection?.close();
    await this.#running;
    await stopped;
    // One that was made in the meantime.
    await this.#files?.stop();
    this.#files = undefined;
  }

  status(): ReceiverStatus {
    const session = this.#session;
    return {
      state: this.#state,
      host: this.#host,
      slot: this.#options.slot,
      timeline: this.#plan?.timeline,
      received: session?.received,
      flushed: session?.flushed,
      acknowledged: session?.acknowledged,
      serverEnd: session?.serverEnd,
      caughtUpAt: this.#caughtUpAt,
      waitingFiles: this.#files?.count ?? 0,
      failure: this.#failure,
      gap: this.#gap,
    };
  }

  /** What it has that the repositories may not have yet. */
  get tail(): SpooledTailSource {
    return {
      spool: this.#spool,
      usableBytes: (segment) => this.#session?.usableBytes(segment),
      syncedBytes: (segment) => this.#session?.syncedBytes(segment),
    };
  }

  async #run(): Promise<void> {
    for (let failures = 0; !this.#isStopped();) {
      this.#state = 'connecting';
      const before = this.#caughtUpAt;
      try {
        await this.#receive();
        failures = 0;
      } catch (error) {
        if (this.#isStopped()) return;
        // One that came far begins the counting anew.
        failures = this.#caughtUpAt === before ? failures + 1 : 1;
        this.#failed(toWaldenError(error));
        this.#state = 'waiting';
        await this.#deps.clock.sleep(waitAfter(failures), this.#stop.signal).catch(() => undefined);
      } finally {
        this.#session = undefined;
      }
    }
  }

  #isStopped(): boolean {
    return this.#stop.signal.aborted;
  }

  async #receive(): Promise<void> {
    const context = await this.#deps.open();
    // On its way into the spool, which is about to be tidied up, or into the repositories, behind which it goes on.
    await this.#files?.settled();
    this.#files?.forgetLost();
    await this.#spool.open();
    const files = (this.#files ??= this.#receivedFiles(context));
    for (const name of await this.#spool.finished()) files.add(name);
    const { spoolLimitBytes, applicationName } = this.#options;
    assertSpoolHasRoom(files.count, context.identity.segmentBytes, spoolLimitBytes);
    const { hosts, target } = parseHostList(this.#conninfo);
    let failure: unknown;
    for (const host of hosts) {
      const config = { ...host, application_name: applicationName ?? host.application_name ?? 'walden' };
      try {
        await this.#receiveFrom({ config, target, isOnlyHost: hosts.length === 1 }, context, files);
        return;
      } catch (error) {
        if (this.#isStopped() || !isWaldenError(error, 'SERVER_UNREACHABLE', 'SERVER_MISMATCH')) throw error;
        // What ended a session is told as it is; of hosts that will not do, the first.
        if (this.#session !== undefined) throw error;
        failure ??= withContext(error, `host ${host.host ?? 'by default'}`);
      }
    }
    throw failure;
  }

  async #receiveFrom(
    { config, target, isOnlyHost }: Host,
    context: ArchiveContext,
    files: ReceivedFiles,
  ): Promise<void> {
    this.#host = config.host;
    const connection = await ReplicationConnection.open(config);
    this.#connection = connection;
    try {
      if (this.#isStopped()) return;
      if (target === 'read-write' && (await connection.show('transaction_read_only')) !== 'off') {
        throw new WaldenError('SERVER_UNREACHABLE', 'the server takes no writes, and read-write is wanted');
      }
      const { log } = this.#deps;
      const { slot } = this.#options;
      const plan = await prepareSession({
        ...{ context, connection, spool: this.#spool, files, log, slot, isOnlyHost },
        ...{ lost: this.#lost, slotGivenUp: this.#slotGivenUp },
      });
      this.#plan = plan;
      this.#noteGap(context, plan);
      await this.#stream(context, connection, files);
    } finally {
      this.#connection = undefined;
      await connection.close();
    }
  }

  async #stream(context: ArchiveContext, connection: ReplicationConnection, files: ReceivedFiles): Promise<void> {
    const plan = this.#plan;
    if (plan === undefined) throw new WaldenError('INTERNAL', 'nobody planned where to begin');
    const { clock, log } = this.#deps;
    const { cluster, identity } = context;
    const { segmentBytes } = identity;
    const session = new ReceiveSession(
      {
        ...{ connection, spool: this.#spool, files, segmentBytes, clock, options: this.#options },
        differed: (segment, kept) => {
          const fact = `the server sends other bytes for ${segment} than it had sent before; those are kept as ${kept}`;
          log.error({ cluster, segment, kept }, fact);
        },
        moved: this.#moved,
      },
      plan,
    );
    this.#session = session;
    const name = segmentName(plan.timeline, plan.segment, segmentBytes);
    log.info({ cluster, segment: name }, `receiving WAL of ${cluster} from ${name} on`);
    try {
      const next = await session.run();
      if (next === undefined) return;
      const { timeline, start } = next;
      log.warn({ cluster, ...next, start: formatLsn(start) }, `the server goes on on timeline ${timeline}`);
    } catch (error) {
      const sqlstate = sqlstateOf(error);
      if (sqlstate === UNDEFINED_FILE) this.#lost = session.received / BigInt(segmentBytes);
      if (sqlstate === NOT_IN_PREREQUISITE_STATE) this.#slotGivenUp = true;
      throw error;
    }
  }

  #receivedFiles(context: ArchiveContext): ReceivedFiles {
    const { archive, clock, log } = this.#deps;
    return new ReceivedFiles({
      ...{ spool: this.#spool, segmentBytes: context.identity.segmentBytes, archive, clock },
      moved: () => {
        this.#session?.report(false);
      },
      failed: (file, error) => {
        log.error(
          { file, error: errorToDocument(error) },
          `${error.message}; it stays in the spool as ${this.#spool.finishedPath(file)}`,
        );
      },
      lost: (_file, error) => {
        this.#connection?.fail(error);
      },
    });
  }

  readonly #moved = (): void => {
    const session = this.#session;
    if (session?.serverEnd === undefined) return;
    if (this.#state !== 'streaming') {
      this.#state = 'streaming';
      this.#failure = undefined;
      this.#lost = undefined;
      this.#slotGivenUp = false;
    }
    if (session.flushed >= session.serverEnd) this.#caughtUpAt = microsFromDate(this.#deps.clock.now());
  };

  #failed(error: WaldenError): void {
    const { clock, log } = this.#deps;
    // The connection was closed because of a reason that is told already.
    const since = this.#failure?.error.code === error.code ? this.#failure.since : microsFromDate(clock.now());
    this.#failure = { error: errorToDocument(error), since };
    const loud = isWaldenError(error, ...LOUD) ? 'error' : 'warn';
    log[loud]({ error: errorToDocument(error) }, `the receiver: ${error.message}`);
  }

  #noteGap({ cluster, identity }: ArchiveContext, { timeline, gap }: PlannedStart): void {
    if (gap === undefined) return;
    const { segmentBytes } = identity;
    const first = segmentName(timeline, gap.first, segmentBytes);
    const last = segmentName(timeline, gap.last, segmentBytes);
    this.#gap = { first, last, at: microsFromDate(this.#deps.clock.now()) };
    const fact = `WAL of ${cluster} from ${first} to ${last} is lost: the server no longer has it`;
    this.#deps.log.error({ cluster, first, last }, `${fact}; take a backup, see: walden wal gaps ${cluster}`);
  }
}

/** With jitter, so that what failed together does not come again together. */
function waitAfter(failures: number): number {
  return Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (failures - 1)) * (0.5 + Math.random() / 2);
}
