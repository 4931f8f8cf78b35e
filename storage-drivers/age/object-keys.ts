import type { FileKey, OpenedHeader } from './header.ts';

/** Who seals and opens the headers of objects. */
export interface ObjectKeys {
  /** A header that opens to `fileKey`. @throws KEY_MISSING without a key for new objects, KEY_REFUSED, LOCAL_IO */
  seal(fileKey: FileKey): Promise<Buffer>;
  /** @throws KEY_MISSING when none of the keys opens it, CHECKSUM_MISMATCH when it is damaged, KEY_REFUSED, LOCAL_IO */
  open(header: Uint8Array, what: string): Promise<OpenedHeader>;
}
