import type { JobView } from './jobs.ts';
import type { ServiceRooms } from './rooms.ts';

/** A job that builds the catalog anew from the repositories, and says what differed. */
export async function startCatalogRebuild({ jobs, deps }: ServiceRooms): Promise<JobView> {
  return await jobs.start('catalog-rebuild', undefined, async ({ signal }) => ({
    differences: await deps.rebuildCatalog(signal),
  }));
}
