/**
 * Copies bytes to a place in a buffer, one of which or both stand in shared memory. V8 copies those with `set` and `copy` in
 * small steps, lest two threads see halves of a number; `fill` leaves it to memcpy, which is ten times as fast or more.
 * @throws RangeError when there is not so much room
 */
export function copyBytes(from: Uint8Array, to: Buffer, at: number): void {
  const end = at + from.byteLength;
  if (end > to.byteLength) throw new RangeError(`${from.byteLength} bytes do not fit at ${at} of ${to.byteLength}`);
  // Nothing to fill with is an error to `fill`.
  if (from.byteLength > 0) to.fill(from, at, end);
}
