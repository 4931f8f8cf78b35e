import type { ObjectInfo } from '../../storage-drivers/driver.ts';

/** An object of one listing, and the one of the same key in another. */
export interface ListedPair {
  readonly info: ObjectInfo;
  readonly there: ObjectInfo | undefined;
}

/** Walks two listings side by side: both come in ascending byte order of key. */
export async function* compareListings(
  here: AsyncIterable<ObjectInfo>,
  other: AsyncIterable<ObjectInfo>,
): AsyncGenerator<ListedPair, void, undefined> {
  const others = other[Symbol.asyncIterator]();
  try {
    let next = await others.next();
    for await (const info of here) {
      while (next.done !== true && next.value.key < info.key) next = await others.next();
      yield { info, there: next.done !== true && next.value.key === info.key ? next.value : undefined };
    }
  } finally {
    await others.return?.();
  }
}
