import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { type ErrorDocument, errorToDocument, isWaldenError, WaldenError } from '../errors.ts';
import type { ObjectKey, StorageDriver } from '../../storage-drivers/driver.ts';
import { objectKey } from '../../storage-drivers/object-key.ts';
import type { Clock } from '../platform/clock.ts';
import { bodyOfBytes, readSmallObject, readSmallPart } from './object-bytes.ts';

/** What probe objects are called. A key that cannot delete leaves some of them behind. */
const PROBES = '.walden-check';
const SMALL_BYTES = 1024;

export type CheckStepName =
  'list' | 'write' | 'read' | 'read a part' | 'write once' | 'list it' | 'transfer' | 'delete';

export interface CheckStep {
  readonly name: CheckStepName;
  readonly milliseconds: number;
  readonly error: ErrorDocument | undefined;
}

export interface RepositoryCheck {
  readonly steps: readonly CheckStep[];
  /** Of one large object; undefined where it could not be stored. */
  readonly transfer:
    { readonly bytes: number; readonly upPerSecond: number; readonly downPerSecond: number } | undefined;
  readonly canDelete: boolean;
}

/**
 * Does with probe objects what backups, archiving and restores will do, one step after the other, and goes on after a step
 * that failed as far as that makes sense. The probes are removed, where that is allowed.
 */
export async function checkRepository(
  driver: StorageDriver,
  {
    transferBytes,
    clock,
    signal,
  }: { readonly transferBytes: number; readonly clock: Clock; readonly signal: AbortSignal },
): Promise<RepositoryCheck> {
  const probe = `${PROBES}/${randomUUID()}`;
  const small = { key: objectKey(`${probe}/small`), bytes: randomBytes(SMALL_BYTES) };
  const large = { key: objectKey(`${probe}/large`), bytes: randomBytes(transferBytes) };
  const steps: CheckStep[] = [];
  const seconds = async (work: () => Promise<void>): Promise<number> => {
    const start = clock.now().getTime();
    await work();
    return (clock.now().getTime() - start) / 1000;
  };
  const removeProbes = async (): Promise<void> => {
    await driver.remove(large.key);
    await driver.remove(small.key);
  };
  const step = async (name: CheckStepName, work: () => Promise<void>): Promise<boolean> => {
    const start = clock.now().getTime();
    let error: ErrorDocument | undefined;
    try {
      signal.throwIfAborted();
      await work();
    } catch (thrown) {
      if (signal.aborted) {
        await removeProbes().catch(() => {
          // Interrupted: whoever waits shall not wait for that.
        });
        throw signal.reason;
      }
      error = errorToDocument(thrown);
    }
    steps.push({ name, milliseconds: clock.now().getTime() - start, error });
    return error === undefined;
  };

  let transfer: RepositoryCheck['transfer'];
  await step('list', () => first(driver, `${PROBES}/`, signal));
  const isWritten = await step('write', () => create(driver, small, signal));
  if (isWritten) {
    await step('read', () => readBack(driver, small, signal));
    await step('read a part', () => readPart(driver, small, signal));
    await step('write once', () => refuseSecond(driver, small.key, signal));
    await step('list it', () => findListed(driver, `${probe}/`, small.key, signal));
    await step('transfer', async () => {
      const up = await seconds(() => create(driver, large, signal));
      const down = await seconds(() => readBack(driver, large, signal));
      transfer = { bytes: transferBytes, upPerSecond: transferBytes / up, downPerSecond: transferBytes / down };
    });
  }
  const canDelete = await step('delete', removeProbes);
  return { steps, transfer, canDelete };
}

interface Probe {
  readonly key: ObjectKey;
  readonly bytes: Buffer;
}

async function create(driver: StorageDriver, { key, bytes }: Probe, signal: AbortSignal): Promise<void> {
  await driver.put(key, bodyOfBytes(bytes), { ifExists: 'fail', temporary: true, signal });
}

async function readBack(driver: StorageDriver, { key, bytes }: Probe, signal: AbortSignal): Promise<void> {
  assertSame(await readSmallObject(driver, key, bytes.length, signal), bytes, key);
}

async function readPart(driver: StorageDriver, { key, bytes }: Probe, signal: AbortSignal): Promise<void> {
  const part = { offset: 100, length: 200 };
  assertSame(await readSmallPart(driver, key, part, signal), bytes.subarray(100, 300), key);
}

function assertSame(found: Buffer, stored: Buffer, key: ObjectKey): void {
  const hash = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
  if (hash(found) === hash(stored)) return;
  throw new WaldenError('CHECKSUM_MISMATCH', `${key} came back with other bytes than were stored`);
}

/** Other bytes under a name that is taken. */
async function refuseSecond(driver: StorageDriver, key: ObjectKey, signal: AbortSignal): Promise<void> {
  try {
    await create(driver, { key, bytes: randomBytes(SMALL_BYTES) }, signal);
  } catch (error) {
    if (isWaldenError(error, 'STORAGE_OBJECT_EXISTS')) return;
    throw error;
  }
  throw new WaldenError('STORAGE_UNAVAILABLE', `the store replaced ${key}, which it was told not to`, {
    hint: 'this store cannot keep what was archived from being overwritten: do not use it',
  });
}

async function first(driver: StorageDriver, prefix: string, signal: AbortSignal): Promise<void> {
  for await (const info of driver.list(prefix, { signal })) if (info.size >= 0) return;
}

async function findListed(driver: StorageDriver, prefix: string, key: ObjectKey, signal: AbortSignal): Promise<void> {
  for await (const info of driver.list(prefix, { signal })) if (info.key === key) return;
  throw new WaldenError('STORAGE_UNAVAILABLE', `a listing does not show ${key}, which was just stored`);
}
