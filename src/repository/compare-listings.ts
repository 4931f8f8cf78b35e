import type { ObjectInfo } from '../../storage-drivers/driver.ts';

/** What has a key, from a listing or elsewhere, and the object of the same key in another listing. */
export interface ListedPair<Info = ObjectInfo> {
  readonly info: Info;
  readonly there: ObjectInfo | undefined;
}

/** Walks two listings side by side: both come in ascending byte order of key. */
export async function* compareListings<Info extends Pick<ObjectInfo, 'key'>>(
  here: AsyncIterable<Info>,
  other: AsyncIterable<ObjectInfo>,
): AsyncGenerator<ListedPair<Info>, void, undefined> {
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
