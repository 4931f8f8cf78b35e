import { copyBytes } from './copy-bytes.ts';

/**
 * Text from a worker in shared memory. Where much of it goes by, the strings of messages would fill the receiver's heap until
 * its next full collection: some 100 MB in a backup of many small files.
 */

const ROOM_BYTES = 256 * 1024;
const PIECE_BYTES = 64 * 1024;

/** UTF-8 in a room; a string where there was no room for it. */
export type SharedText = string | { readonly room: SharedArrayBuffer; readonly offset: number; readonly bytes: number };

const encoder = new TextEncoder();
const scratch = Buffer.allocUnsafeSlow(PIECE_BYTES);

/** To be used for one message after the other. */
export function createTextRoom(): SharedArrayBuffer {
  return new SharedArrayBuffer(ROOM_BYTES);
}

/** Puts the texts one behind the other; they are good until the room is used for the next message. */
export function shareTexts<const Texts extends readonly string[]>(
  room: SharedArrayBuffer,
  ...texts: Texts
): { readonly [Index in keyof Texts]: SharedText } {
  let offset = 0;
  const shared = texts.map((text): SharedText => {
    const { read, written } = encoder.encodeInto(text, new Uint8Array(room, offset));
    if (read < text.length) return text;
    const place = { room, offset, bytes: written };
    offset += written;
    return place;
  });
  return shared as { readonly [Index in keyof Texts]: SharedText };
}

/** As UTF-8. A piece is valid until the next one is asked for, of this or another text. */
export function* piecesOfText(text: SharedText): Generator<Uint8Array, void, undefined> {
  if (typeof text === 'string') {
    yield* piecesOfString(text);
    return;
  }
  // Copied, since not everything that takes bytes takes shared ones.
  for (let done = 0; done < text.bytes;) {
    const bytes = Math.min(PIECE_BYTES, text.bytes - done);
    copyBytes(new Uint8Array(text.room, text.offset + done, bytes), scratch, 0);
    yield scratch.subarray(0, bytes);
    done += bytes;
  }
}

function* piecesOfString(text: string): Generator<Uint8Array, void, undefined> {
  for (let done = 0; done < text.length;) {
    const { read, written } = encoder.encodeInto(text.slice(done, done + PIECE_BYTES), scratch);
    yield scratch.subarray(0, written);
    done += read;
  }
}
