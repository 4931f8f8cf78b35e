import { isWaldenError, toWaldenError } from '../../errors.ts';
import type { SegmentRun } from '../../../catalog/catalog.ts';
import type { HostList } from '../../postgres/conninfo.ts';
import { ReplicationConnection, sqlstateOf } from '../../postgres/replication/connection.ts';
import { assertOwnServer, type IdentifiedServer, identifyServer } from '../../postgres/replication/server-identity.ts';
import type { TimelineId } from '../../postgres/lsn.ts';
import { parseTimelineHistory } from '../../postgres/timeline-history.ts';
import type { Clock } from '../../platform/clock.ts';
import type { ArchiveContext } from '../archive-context.ts';
import type { Ancestry } from '../path-coverage.ts';
import { type Histories, historyOf, type Judged, judgeRun } from './node-history.ts';
import { askForSegment, type StreamPlace, streamSegments } from './stream-segments.ts';
import type { Lacks, NodeHistoryFile, TakeSegment, WalSource } from './wal-source.ts';

/** The server no longer has a file (walsender.c: "requested WAL segment … has already been removed"). */
const UNDEFINED_FILE = '58P01';
const APPLICATION_NAME = 'walden_repair';
const REMOVED = 'removed already';

export interface ServerPlace {
  readonly name: string;
  readonly isNamed: boolean;
  readonly config: HostList['hosts'][number];
  /** Of the archive, as they are when they are needed. */
  readonly histories: () => Histories;
  readonly signal: AbortSignal;
}

type Context = Pick<ArchiveContext, 'identity' | 'stagingDirectory'> & { readonly clock: Clock };

/** A server, primary or standby, over the replication protocol: a role with REPLICATION is enough, and nothing is made there. */
export class ServerSource implements WalSource {
  readonly name: string;
  readonly isNamed: boolean;
  readonly isSuccessor: boolean;
  readonly #context: Context;
  readonly #place: ServerPlace;
  readonly #system: IdentifiedServer;
  readonly #ancestry: Ancestry;

  private constructor(
    context: Context,
    place: ServerPlace,
    found: { readonly system: IdentifiedServer; readonly ancestry: Ancestry; readonly takesWrites: boolean },
  ) {
    this.#context = context;
    this.#place = place;
    this.name = place.name;
    this.isNamed = place.isNamed;
    this.isSuccessor = found.takesWrites;
    this.#system = found.system;
    this.#ancestry = found.ancestry;
  }

  /** @throws SERVER_UNREACHABLE, SERVER_QUERY, SERVER_MISMATCH when it is of another cluster */
  static async open(context: Context, place: ServerPlace): Promise<ServerSource> {
    const found = await withConnection(place, async (connection) => {
      const system = await identifyServer(connection);
      assertOwnServer(system, context.identity);
      const takesWrites = (await connection.show('transaction_read_only')) === 'off';
      const { timeline } = system;
      if (timeline === 1) return { system, takesWrites, ancestry: { timeline, ancestors: [] } };
      const text = (await connection.timelineHistory(timeline)).toString('utf8');
      return { system, takesWrites, ancestry: parseTimelineHistory(text, timeline) };
    });
    return new ServerSource(context, place, found);
  }

  get timelines(): readonly TimelineId[] {
    const { timeline, ancestors } = this.#ancestry;
    return [...ancestors.map((one) => one.timeline), timeline].filter((one) => one !== 1);
  }

  async history(timeline: TimelineId): Promise<NodeHistoryFile | undefined> {
    try {
      return await withConnection(this.#place, async (connection) => {
        return { timeline, content: await connection.timelineHistory(timeline) };
      });
    } catch (error) {
      // A node that was made from a backup may have that of its own timeline only.
      if (isWaldenError(error, 'SERVER_QUERY')) return undefined;
      throw error;
    }
  }

  judge(run: SegmentRun): Judged {
    const ours = historyOf(this.#place.histories(), run.timeline);
    const { segmentBytes } = this.#context.identity;
    return judgeRun(run, { ancestry: this.#ancestry, end: this.#system.flushed }, ours, segmentBytes);
  }

  async holds(run: SegmentRun, lacks: Lacks): Promise<readonly SegmentRun[]> {
    const first = await this.#firstHeld(run, lacks);
    return first === undefined ? [] : [{ ...run, first }];
  }

  async bring(run: SegmentRun, take: TakeSegment, lacks: Lacks): Promise<void> {
    for (let { first } = run; first <= run.last;) {
      const begin = await this.#firstHeld({ ...run, first }, lacks);
      if (begin === undefined) return;
      let next = begin;
      try {
        await this.#streaming((place) =>
          streamSegments(place, { ...run, first: begin }, async (segment, path) => {
            next = segment + 1n > next ? segment + 1n : next;
            await take(segment, path);
          }),
        );
        return;
      } catch (error) {
        if (!isRemoved(error)) throw error;
        // Removed since it was asked for, or by hand: what is behind it may be there.
        lacks({ ...run, first: next, last: next }, REMOVED);
        first = next + 1n;
      }
    }
  }

  /**
   * Servers remove the oldest first: the first segment that is there is found by halves. What is told to be lacking was not
   * asked for one by one.
   */
  async #firstHeld(run: SegmentRun, lacks: Lacks): Promise<bigint | undefined> {
    let [low, high] = [run.first, run.last + 1n];
    // The whole run is the usual case, and nothing of it the next.
    for (let at = run.first; low < high; at = at === run.first ? run.last : (low + high) / 2n) {
      if (at < low || at >= high) continue;
      if (await this.#has({ ...run, first: at, last: at })) high = at;
      else low = at + 1n;
    }
    if (low > run.first) lacks({ ...run, last: low - 1n }, REMOVED);
    return low <= run.last ? low : undefined;
  }

  async #has(run: SegmentRun): Promise<boolean> {
    try {
      await this.#streaming((place) => askForSegment(place, run));
      return true;
    } catch (error) {
      if (isRemoved(error)) return false;
      throw error;
    }
  }

  async #streaming(work: (place: StreamPlace) => Promise<void>): Promise<void> {
    const { identity, clock, stagingDirectory } = this.#context;
    await withConnection(this.#place, async (connection) => {
      // Before PostgreSQL 15 a stream wants it.
      await connection.identifySystem();
      await work({ connection, clock, stagingDirectory, segmentBytes: identity.segmentBytes });
    });
  }
}

async function withConnection<Result>(
  { config, signal }: Pick<ServerPlace, 'config' | 'signal'>,
  work: (connection: ReplicationConnection) => Promise<Result>,
): Promise<Result> {
  signal.throwIfAborted();
  const connection = await ReplicationConnection.open({ ...config, application_name: APPLICATION_NAME });
  const end = (): void => {
    connection.fail(toWaldenError(signal.reason));
  };
  signal.addEventListener('abort', end);
  try {
    return await work(connection);
  } finally {
    signal.removeEventListener('abort', end);
    await connection.close();
  }
}

function isRemoved(error: unknown): boolean {
  return sqlstateOf(error) === UNDEFINED_FILE;
}
