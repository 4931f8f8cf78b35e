import { WaldenError } from '../../errors.ts';

/** One message of the server: its type, a letter, and what stands behind the length. */
export interface BackendMessage {
  readonly type: string;
  /** May be kept: nobody writes into it any more, unless it is a piece and the chunks are written over. */
  readonly body: Buffer;
  /** Set where the body is not the beginning of its message: only in pieces of CopyData. */
  readonly continues?: true;
}

/** Type and length; the length counts itself but not the type. */
const HEADER_BYTES = 5;
const COPY_DATA = 0x64;
/** XLogData carries at most 128 KiB (MAX_SEND_SIZE in walsender.c); rows here are a few lines of text. */
const MAX_BODY_BYTES = 16 * 1024 * 1024;

/**
 * Cuts what a socket brings into messages, wherever the pieces end. A message that lies within a chunk is a part of it, unless
 * bodies are copied: else the chunks must never be written into again.
 */
export class FrameReader {
  /** Whether CopyData is given in pieces, as the chunks have it: then nothing of it is copied. Set it between messages. */
  piecesOfCopyData = false;
  /** Whether the chunks will be written over: then only pieces of CopyData are parts of them. */
  copiesBodies = false;
  readonly #header = Buffer.alloc(HEADER_BYTES);
  #headerBytes = 0;
  /** Of a message whose end has not come yet. */
  #body: Buffer | undefined;
  #bodyBytes = 0;
  /** CopyData that is given in pieces, until its end has come. */
  #pieces: { left: number; begun: boolean } | undefined;

  /** The messages that end in this chunk, in order. @throws SERVER_UNREACHABLE when it is no message that comes */
  feed(chunk: Buffer): readonly BackendMessage[] {
    const messages: BackendMessage[] = [];
    let at = 0;
    while (at < chunk.length) {
      if (this.#pieces === undefined) {
        at += this.#body === undefined ? this.#takeHeader(chunk, at) : 0;
        if (this.#headerBytes < HEADER_BYTES) break;
        const length = this.#length();
        if (this.#body === undefined && this.#isGivenInPieces()) this.#pieces = { left: length, begun: false };
        else at = this.#takeBody(chunk, at, length, messages);
      }
      if (this.#pieces !== undefined) at = this.#takePiece(chunk, at, this.#pieces, messages);
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

  #isGivenInPieces(): boolean {
    return this.piecesOfCopyData && this.#header[0] === COPY_DATA;
  }

  /** @returns where the chunk goes on */
  #takeBody(chunk: Buffer, at: number, length: number, messages: BackendMessage[]): number {
    if (this.#body === undefined && chunk.length - at >= length) {
      const body = chunk.subarray(at, at + length);
      messages.push(this.#message(this.copiesBodies ? Buffer.from(body) : body));
      return at + length;
    }
    this.#body ??= Buffer.allocUnsafeSlow(length);
    const copied = chunk.copy(this.#body, this.#bodyBytes, at);
    this.#bodyBytes += copied;
    if (this.#bodyBytes === length) messages.push(this.#message(this.#body));
    return at + copied;
  }

  /** A message without bytes is one piece; of others no piece is empty. @returns where the chunk goes on */
  #takePiece(chunk: Buffer, at: number, pieces: { left: number; begun: boolean }, messages: BackendMessage[]): number {
    const body = chunk.subarray(at, at + pieces.left);
    if (body.length > 0 || pieces.left === 0) {
      messages.push(pieces.begun ? { type: 'd', body, continues: true } : { type: 'd', body });
      pieces.begun = true;
      pieces.left -= body.length;
    }
    if (pieces.left === 0) {
      this.#pieces = undefined;
      this.#headerBytes = 0;
    }
    return at + body.length;
  }

  #message(body: Buffer): BackendMessage {
    const type = String.fromCharCode(this.#header[0] ?? 0);
    this.#headerBytes = 0;
    this.#body = undefined;
    this.#bodyBytes = 0;
    return { type, body };
  }
}
