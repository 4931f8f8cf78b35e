import { compressBytes } from '../repository/codec.ts';
import type { StoredObject } from '../repository/object-bytes.ts';
import { tarEnd } from '../repository/tar-header.ts';
import { FrameSink } from './frame-sink.ts';
import { hashPack } from './pack-hash.ts';
import type { SealPackInput } from './pack-input.ts';

/** The end of the archive, in a frame of its own: the last bytes of every pack. */
export const PACK_END = compressBytes(tarEnd(), 1);

/** Ends a staged pack, and hashes it unless that was done on the way. The caller syncs it to disk. */
export function sealPack({ pack, offset, sealedSha256 }: SealPackInput): StoredObject {
  const sink = new FrameSink(pack, offset);
  try {
    sink.write(PACK_END);
    sink.flush();
  } finally {
    sink.close();
  }
  return { bytes: sink.offset, sha256: sealedSha256 ?? hashPack(pack, sink.offset) };
}
