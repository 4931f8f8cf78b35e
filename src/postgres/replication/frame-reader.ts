import { WaldenError } from '../../errors.ts';

/** One message of the server: its type, a letter, and what stands behind the length. */
export interface BackendMessage {
  readonly type: string;
  /** May be kept: nobody writes into it any more. */
  readonly body: Buffer;
}

/** Type and length; the length counts itself but not the type. */
const HEADER_BYTES = 5;
/** XLogData carries at most 128 KiB (MAX_SEND_SIZE in walsender.c); rows here are a few lines of text. */
const MAX_BODY_BYTES = 16 * 1024 * 1024;

/**
 * Cuts what a socket brings into messages, wherever the pieces end. The chunks themselves must never be written into again:
 * a message that lies within one is a part of it.
 */
export class FrameReader {
  readonly #header = Buffer.alloc(HEADER_BYTES);
  #headerBytes = 0;
  /** Of a message whose end has not come yet. */
  #body: Buffer | undefined;
  #bodyBytes = 0;

  /** The messages that end in this chunk, in order. @throws SERVER_UNREACHABLE when it is no message that comes */
  feed(chunk: Buffer): readonly BackendMessage[] {
    const messages: BackendMessage[] = [];
    let at = 0;
    while (at < chunk.length) {
      at += this.#body === undefined ? this.#takeHeader(chunk, at) : 0;
      if (this.#headerBytes < HEADER_BYTES) break;
      const length = this.#length();
      if (this.#body === undefined && chunk.length - at >= length) {
        messages.push(this.#message(chunk.subarray(at, at + length)));
        at += length;
        continue;
      }
      this.#body ??= Buffer.allocUnsafeSlow(length);
      const copied = chunk.copy(this.#body, this.#bodyBytes, at);
      this.#bodyBytes += copied;
      at += copied;
      if (this.#bodyBytes === length) messages.push(this.#message(this.#body));
    }
    return messages;
  }

  #takeHeader(chunk: Buffer, at: number): number {
    const copied = chunk.copy(this.#header, this.#headerBytes, at, at + HEADER_BYTES - this.#headerBytes);
    this.#headerBytes += copied;
    return copied;
  }

  #length(): number {
    const length = this.#header.readUInt32BE(1) - 4;
    if (length >= 0 && length <= MAX_BODY_BYTES) return length;
    throw new WaldenError('SERVER_UNREACHABLE', 'the connection to PostgreSQL brought something that is no message');
  }

  #message(body: Buffer): BackendMessage {
    const type = String.fromCharCode(this.#header[0] ?? 0);
    this.#headerBytes = 0;
    this.#body = undefined;
    this.#bodyBytes = 0;
    return { type, body };
  }
}
