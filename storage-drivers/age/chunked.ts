/**
 * Cuts a stream into pieces of exactly `bytes`; the last one is shorter, and empty only where there is nothing at all. A piece
 * is valid until the next one is asked for.
 */
export async function* chunked(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  bytes: number,
): AsyncGenerator<{ readonly piece: Uint8Array; readonly isLast: boolean }, void, undefined> {
  // A full piece waits until there is more: only then it is known not to be the last.
  let waiting: Uint8Array | undefined;
  const gathered = Buffer.allocUnsafeSlow(bytes);
  let filled = 0;
  for await (const chunk of source) {
    let rest = chunk;
    while (rest.byteLength > 0) {
      if (waiting !== undefined) {
        yield { piece: waiting, isLast: false };
        waiting = undefined;
      }
      if (filled === 0 && rest.byteLength > bytes) {
        // More follows it in the same chunk, so it needs not be copied.
        yield { piece: rest.subarray(0, bytes), isLast: false };
        rest = rest.subarray(bytes);
        continue;
      }
      const part = rest.subarray(0, bytes - filled);
      gathered.set(part, filled);
      filled += part.byteLength;
      rest = rest.subarray(part.byteLength);
      if (filled === bytes) {
        waiting = gathered;
        filled = 0;
      }
    }
  }
  yield { piece: waiting ?? gathered.subarray(0, filled), isLast: true };
}
