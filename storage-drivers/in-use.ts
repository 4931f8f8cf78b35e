import type { StorageDriver } from './driver.ts';
import type { RetryPolicy } from './retry.ts';
import { type AllowedAccess, driverWithAccess } from './with-access.ts';
import { driverWithClaims } from './with-claims.ts';
import { driverWithDeadlines, type StoreDeadlines } from './with-deadline.ts';
import { type BandwidthLimits, driverWithLimits } from './with-limit.ts';
import { driverWithObserver, type ObservedCall } from './with-observer.ts';
import { driverWithResumption } from './with-resume.ts';
import { driverWithRetries } from './with-retry.ts';

/** How long a store may take for one answer, and for one object: a hung one must not hang PostgreSQL. */
const STORE_DEADLINES: StoreDeadlines = { answerMs: 15_000, putMs: 600_000 };
/** A hiccup of a network file system is not worth an error; PostgreSQL and backups try longer things again themselves. */
const STORE_RETRIES: RetryPolicy = { retries: 2, firstWaitMs: 200, longestWaitMs: 2_000 };

/** How one store is used. */
export interface DriverUse {
  /** Tells the claims of this service from another's. */
  readonly instance: string;
  readonly allowed: AllowedAccess;
  readonly limits?: BandwidthLimits;
  readonly observe?: ((call: ObservedCall) => void) | undefined;
  readonly deadlines?: StoreDeadlines;
  readonly retries?: RetryPolicy;
}

/** A driver in all its wrappers, each in the place that its own comment asks for. */
export function driverInUse(
  driver: StorageDriver,
  { instance, allowed, limits = {}, observe, deadlines = STORE_DEADLINES, retries = STORE_RETRIES }: DriverUse,
): StorageDriver {
  const observed = observe === undefined ? driver : driverWithObserver(driver, observe);
  const store = driverWithClaims(driverWithLimits(driverWithDeadlines(observed, deadlines), limits), { instance });
  return driverWithResumption(driverWithRetries(driverWithAccess(store, allowed), retries));
}
