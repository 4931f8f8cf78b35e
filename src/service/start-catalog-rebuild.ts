import type { JobView } from './jobs.ts';
import type { ServiceRooms } from './rooms.ts';

/** A job that builds the catalog anew from the repositories, once `begin` has resolved, and says what differed. */
export async function startCatalogRebuild(
  { jobs, deps }: Pick<ServiceRooms, 'jobs' | 'deps'>,
  begin: Promise<void> = Promise.resolve(),
): Promise<JobView> {
  return await jobs.start('catalog-rebuild', undefined, async ({ signal }) => {
    await begin;
    return { differences: await deps.rebuildCatalog(signal) };
  });
}
