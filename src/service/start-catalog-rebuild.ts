import type { CatalogRebuild, ServiceRooms } from './rooms.ts';
import type { JobView } from './jobs.ts';
import { LostCatalog, type Unread } from './rebuild-lost-catalog.ts';

type Needed = Pick<ServiceRooms, 'jobs' | 'deps'>;

/** A job that builds the catalog anew from the repositories, and says what differed. */
export async function startCatalogRebuild({ jobs, deps }: Needed): Promise<JobView> {
  return await jobs.start('catalog-rebuild', undefined, async ({ signal }) => ({
    differences: await deps.rebuildCatalog(signal),
  }));
}

export interface LostCatalogWatch {
  /** Nothing is read before. */
  readonly begin: Promise<void>;
  /** Told whenever the catalog knows another repository. */
  readonly known: (unread: Unread) => void;
  /** Whether somebody else has rebuilt all of it. */
  readonly isOver: () => boolean;
  /** Told when it knows everything. */
  readonly whole: () => void;
}

/** The same for a catalog that was lost: it goes on until every repository was read. */
export async function startLostCatalogRebuild(
  { jobs, deps }: Needed,
  watch: LostCatalogWatch,
): Promise<CatalogRebuild> {
  const lost = new LostCatalog(deps);
  let firstKnown = (): void => undefined;
  const first = new Promise<void>((resolve) => (firstKnown = resolve));
  const known = (): void => {
    firstKnown();
    watch.known(lost.unread);
  };
  let isRunning = true;
  const { record } = await jobs.start('catalog-rebuild', undefined, async ({ signal }) => {
    await watch.begin;
    const differences = await lost.rebuild(signal, { known, isOver: watch.isOver });
    watch.whole();
    return { differences };
  });
  const ended = jobs.ended(record.id).then(() => {
    isRunning = false;
  });
  return {
    job: record.id,
    begun: Promise.race([first, ended]),
    ended,
    get unread() {
      return lost.unread;
    },
    get isRunning() {
      return isRunning;
    },
  };
}
