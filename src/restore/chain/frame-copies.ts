import type { ManifestFile } from '../../repository/manifest.ts';
import type { Copy } from './rebuild-plan.ts';

/** A frame of a stored file, and what is taken of it. */
export interface FrameCopies {
  /** In the pack. */
  readonly offset: number;
  readonly storedBytes: number;
  readonly plainBytes: number;
  /** `from` is in the plain bytes of the frame, `to` in the file that is made. */
  readonly copies: readonly Copy[];
}

/**
 * The frames of a file that hold any of the bytes to copy, in order; the others need not be read. A block may stand in two
 * frames, and is copied in two parts then. Pure.
 * @param copies in bytes of the file, ascending by `from`
 */
export function framesWith(
  { offset, skip, frames }: Pick<ManifestFile, 'offset' | 'skip' | 'frames'>,
  copies: readonly Copy[],
): readonly FrameCopies[] {
  const wanted: FrameCopies[] = [];
  let stored = offset;
  // Where the frame begins in the file; its first bytes are a tar header.
  let begin = -skip;
  let next = 0;
  for (const [storedBytes, plainBytes] of frames) {
    const end = begin + plainBytes;
    const own: Copy[] = [];
    for (let copy = copies[next]; copy !== undefined && copy.from < end; copy = copies[next]) {
      const from = Math.max(copy.from, begin);
      const until = Math.min(copy.from + copy.bytes, end);
      if (until > from) own.push({ from: from - begin, to: copy.to + from - copy.from, bytes: until - from });
      // What goes on in the next frame is looked at once more there.
      if (copy.from + copy.bytes > end) break;
      next += 1;
    }
    if (own.length > 0) wanted.push({ offset: stored, storedBytes, plainBytes, copies: own });
    stored += storedBytes;
    begin = end;
  }
  return wanted;
}

/** The first frames of a file, as many as hold its first `bytes`. Pure. */
export function framesOfHead(
  { skip, frames }: Pick<ManifestFile, 'skip' | 'frames'>,
  bytes: number,
): ManifestFile['frames'] {
  let plain = -skip;
  const count = frames.findIndex(([, plainBytes]) => (plain += plainBytes) >= bytes);
  return count < 0 ? frames : frames.slice(0, count + 1);
}
