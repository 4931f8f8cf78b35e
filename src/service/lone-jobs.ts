import type { ClusterName, JobKind } from '../../catalog/catalog.ts';
import { WaldenError } from '../errors.ts';
import type { JobControls, JobRunner, JobView } from './jobs.ts';

/** Of each runner, what must not run twice at a time. */
const held = new WeakMap<JobRunner, Set<string>>();

/**
 * Starts a job unless one under the same name still runs.
 * @param name for people: `a drill`, `a verification of main`
 * @throws LOCK_HELD
 */
export async function startAlone(
  jobs: JobRunner,
  name: string,
  { kind, cluster }: { readonly kind: JobKind; readonly cluster: ClusterName },
  work: (controls: JobControls) => Promise<unknown>,
): Promise<JobView> {
  const names = held.get(jobs) ?? new Set<string>();
  held.set(jobs, names);
  if (names.has(name)) {
    throw new WaldenError('LOCK_HELD', `${name} is running`, {
      hint: 'wait for it to end, or end it: walden job list',
    });
  }
  names.add(name);
  try {
    return await jobs.start(kind, cluster, async (controls) => {
      try {
        return await work(controls);
      } finally {
        names.delete(name);
      }
    });
  } catch (error) {
    names.delete(name);
    throw error;
  }
}
