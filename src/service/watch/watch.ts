import { errorToDocument, toWaldenError } from '../../errors.ts';
import type { ServiceRooms } from '../rooms.ts';
import {
  type Condition,
  CONDITION_KINDS,
  diffConditions,
  keyOf,
  type OpenConditions,
  openConditions,
} from './conditions.ts';
import { type ClusterLook, lookAtCluster } from './look.ts';
import { clusterConditions, repositoryCondition } from './seen.ts';

const EVERY_MS = 10_000;
/** More conditions than that are not open at a time. */
const REMEMBERED_EVENTS = 10_000;
/** What a catalog that is being rebuilt does not know is no trouble, nor the end of one. */
const BY_THE_CATALOG = ['wal-gap', 'repository-behind'] as const;
/** What has just come may be gone at the next look: a segment that overtook another, a receiver that connects. */
const NEEDS_TWO_LOOKS: readonly string[] = ['wal-gap', 'receiver-down'];

/**
 * Looks at every cluster now and then: troubles that begin or end become events, and metrics are told from the last look,
 * so that asking for them costs nothing.
 */
export class Watch {
  readonly #rooms: ServiceRooms;
  readonly #stop = new AbortController();
  readonly #looks = new Map<string, ClusterLook>();
  #open: OpenConditions = new Map();
  #lastSeen = new Set<string>();
  #running: Promise<void> | undefined;

  constructor(rooms: ServiceRooms) {
    this.#rooms = rooms;
  }

  /** The last one at each cluster. */
  get looks(): Iterable<ClusterLook> {
    return this.#looks.values();
  }

  /** @throws as the catalog */
  async start(): Promise<void> {
    const { catalog } = this.#rooms.deps;
    this.#open = openConditions(await catalog.events({ kinds: CONDITION_KINDS, limit: REMEMBERED_EVENTS }));
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, log } = this.#rooms.deps;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        await this.#look();
      } catch (thrown) {
        const error = toWaldenError(thrown);
        log.error({ error: errorToDocument(error) }, `unable to look how the clusters are doing: ${error.message}`);
      }
      // The stop wakes it.
      await clock.sleep(EVERY_MS, signal).catch(() => undefined);
    }
  }

  async #look(): Promise<void> {
    const { clusters, deps, events } = this.#rooms;
    const seen: Condition[] = [...deps.repositories.values()].flatMap(({ name, health }) =>
      repositoryCondition(name, health?.lastFailure),
    );
    let isWhole = true;
    for (const room of clusters.values()) {
      const look = await lookAtCluster(this.#rooms, room);
      this.#looks.set(room.config.name, look);
      seen.push(...clusterConditions(look));
      isWhole &&= look.isWhole;
    }
    const { events: told, open } = diffConditions(this.#open, this.#confirmed(seen), isWhole ? [] : BY_THE_CATALOG);
    this.#open = open;
    for (const event of told) await events.record(event);
  }

  #confirmed(seen: readonly Condition[]): readonly Condition[] {
    const before = this.#lastSeen;
    this.#lastSeen = new Set(seen.map(keyOf));
    return seen.filter((condition) => {
      const key = keyOf(condition);
      return !NEEDS_TWO_LOOKS.includes(condition.kind) || before.has(key) || this.#open.has(key);
    });
  }
}
