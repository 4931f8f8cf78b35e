import type { Catalog, ClusterName } from '../../catalog/catalog.ts';
import { describeMicros, type Micros } from '../postgres/timestamp.ts';

/** How long it will take, by how long it took. */
export interface Estimate {
  readonly restoreSeconds: number;
  /** Undefined: no drill has measured it yet. */
  readonly recoverySeconds: number | undefined;
  /** What measured it, in words. */
  readonly by: string;
}

export interface MeasuredRates {
  readonly restoreBytesPerSecond: number;
  readonly walBytesPerSecond: number | undefined;
  readonly by: string;
}

const DRILLS_LOOKED_AT = 20;
const JOBS_LOOKED_AT = 200;
/** Recovery that was over in a moment says nothing about a long one. */
const TELLING_WAL_BYTES = 1024 * 1024;

/** Pure. */
export function estimateOf(
  { restoreBytes, walBytes }: { readonly restoreBytes: number; readonly walBytes: number },
  rates: MeasuredRates | undefined,
): Estimate | undefined {
  if (rates === undefined) return undefined;
  const { restoreBytesPerSecond, walBytesPerSecond, by } = rates;
  return {
    restoreSeconds: restoreBytes / restoreBytesPerSecond,
    recoverySeconds: walBytesPerSecond === undefined ? undefined : walBytes / walBytesPerSecond,
    by,
  };
}

/** Of the newest drill of the cluster that came so far; without one, of the newest restore that was done. */
export async function measuredRates(catalog: Catalog, cluster: ClusterName): Promise<MeasuredRates | undefined> {
  for (const { restore, recovery, startedAt } of await catalog.proof.drills(cluster, DRILLS_LOOKED_AT)) {
    if (restore === undefined || recovery === undefined || !(restore.bytes > 0 && restore.seconds > 0)) continue;
    const isTelling = recovery.walBytes >= TELLING_WAL_BYTES && recovery.seconds > 0;
    return {
      restoreBytesPerSecond: restore.bytes / restore.seconds,
      walBytesPerSecond: isTelling ? recovery.walBytes / recovery.seconds : undefined,
      by: `the drill of ${moment(startedAt)}`,
    };
  }
  for (const job of await catalog.jobs(JOBS_LOOKED_AT)) {
    if ((job.kind !== 'restore' && job.kind !== 'clone') || job.state !== 'done') continue;
    const { bytes, seconds, delta } = (job.result ?? {}) as Readonly<Record<string, unknown>>;
    // Of a delta restore most of the time may have gone into what was kept.
    if (typeof delta === 'object' && delta !== null) continue;
    if (typeof bytes === 'number' && typeof seconds === 'number' && seconds > 0 && bytes > 0) {
      return {
        restoreBytesPerSecond: bytes / seconds,
        walBytesPerSecond: undefined,
        by: `the ${job.kind} of ${moment(job.startedAt)}`,
      };
    }
  }
  return undefined;
}

/** Without the parts of a second. */
function moment(at: Micros): string {
  return describeMicros((Math.floor(at / 1e6) * 1e6) as Micros);
}
