import { isWaldenError } from '../../src/errors.ts';
import type { ListOptions, ObjectInfo, ObjectKey, StorageDriver } from '../driver.ts';
import { objectKey } from '../object-key.ts';
import { plainSize } from './payload.ts';

/** What the names of encrypted objects end with. */
export const SUFFIX = '.age';

export function storedKey(key: ObjectKey): ObjectKey {
  return objectKey(`${objectKey(key)}${SUFFIX}`);
}

/**
 * The encrypted objects of a store under their own names, in ascending order of these.
 *
 * The store's order is nearly that: with the suffix, a key comes only after those that go on behind it with `-` or, mostly,
 * `.` (`a-b.age` is before `a.age`, but `a` before `a-b`). So when such a one comes along, the store is asked for the shorter
 * key, which is then given first. In a repository only backup history files are like that: they begin as their segment does.
 */
export async function* listLogically(
  inner: StorageDriver,
  prefix: string,
  { after, signal }: ListOptions,
): AsyncGenerator<ObjectInfo> {
  // Behind the shorter name: what goes on with `-` behind it is before it in the store.
  const stored = inner.list(prefix, { signal, ...(after === undefined ? {} : { after }) });
  const isWanted = (key: string): boolean => key.startsWith(prefix) && (after === undefined || key > after);
  let askedFor: readonly string[] = [];
  for await (const info of stored) {
    const key = info.key.slice(0, -SUFFIX.length);
    if (!info.key.endsWith(SUFFIX) || !isWanted(key)) continue;
    askedFor = askedFor.filter((shorter) => key.startsWith(shorter));
    for (const shorter of keysListedLater(key)) {
      if (askedFor.includes(shorter) || !isWanted(shorter)) continue;
      askedFor = [...askedFor, shorter];
      const size = await sizeOf(inner, objectKey(shorter), signal);
      if (size !== undefined) yield { key: objectKey(shorter), size };
    }
    if (!askedFor.includes(key)) yield { key: key as ObjectKey, size: plainSize(info.size) };
  }
}

/** Beginnings of a key that are keys themselves, shortest first, and come after it in the order of the store. */
function keysListedLater(key: string): readonly string[] {
  const stored = `${key}${SUFFIX}`;
  return Array.from({ length: key.length - 1 }, (_, index) => index + 1)
    .filter((length) => key[length] === '-' || key[length] === '.')
    .map((length) => key.slice(0, length))
    .filter((shorter) => !/(^|\/)\.{0,2}$/.test(shorter) && `${shorter}${SUFFIX}` > stored);
}

async function sizeOf(
  inner: StorageDriver,
  key: ObjectKey,
  signal: AbortSignal | undefined,
): Promise<number | undefined> {
  try {
    return plainSize((await inner.stat(storedKey(key), { signal })).size);
  } catch (error) {
    if (isWaldenError(error, 'STORAGE_OBJECT_MISSING')) return undefined;
    throw error;
  }
}
