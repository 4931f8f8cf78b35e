import { WaldenError } from '../../errors.ts';
import { type Lsn, lsn } from '../lsn.ts';
import { type Micros, microsFromPostgres } from '../timestamp.ts';
import type { BackendMessage } from './frame-reader.ts';

const WAL = 0x77;
const KEEPALIVE = 0x6b;
const WAL_HEADER_BYTES = 25;
const KEEPALIVE_BYTES = 18;

/** What comes inside CopyData while WAL is streamed (protocol.sgml): big-endian, moments in microseconds since 2000. */
export type WalMessage = WalBytes | Keepalive;

interface WalBytes {
  readonly kind: 'wal';
  /** Of the first byte. */
  readonly start: Lsn;
  /** Where the server's WAL ended when it sent this. */
  readonly serverEnd: Lsn;
  /** By the server's clock. */
  readonly sentAt: Micros;
  readonly bytes: Buffer;
}

interface Keepalive {
  readonly kind: 'keepalive';
  readonly serverEnd: Lsn;
  readonly sentAt: Micros;
  /** The server will end the connection unless it gets a status soon. */
  readonly replyRequested: boolean;
}

/**
 * Reads CopyData that is given in pieces: the WAL of a message is given on as it comes, so that none of it is copied to be put
 * together first.
 */
export class WalMessages {
  /** The beginning of a message, up to the end of its header. */
  #head: Buffer | undefined;
  /** The last bytes of WAL that came, until the next message begins. */
  #wal: WalBytes | undefined;

  /** @returns undefined where more has to come @throws SERVER_UNREACHABLE for what is neither WAL nor a keepalive */
  read({ body, continues }: Pick<BackendMessage, 'body' | 'continues'>): WalMessage | undefined {
    if (continues === undefined) {
      if (this.#head !== undefined) throw unknown(this.#head);
      this.#wal = undefined;
    }
    if (this.#wal !== undefined) return this.#moreOf(this.#wal, body);
    const head = this.#head === undefined ? body : Buffer.concat([this.#head, body]);
    this.#head = undefined;
    if (head[0] === WAL && head.length >= WAL_HEADER_BYTES) return (this.#wal = walOf(head));
    if (head[0] === KEEPALIVE && head.length >= KEEPALIVE_BYTES) return keepaliveOf(head);
    if (head[0] !== WAL && head[0] !== KEEPALIVE) throw unknown(head);
    this.#head = head;
    return undefined;
  }

  #moreOf(before: WalBytes, bytes: Buffer): WalBytes {
    this.#wal = { ...before, start: lsn(before.start + BigInt(before.bytes.length)), bytes };
    return this.#wal;
  }
}

function walOf(message: Buffer): WalBytes {
  return {
    kind: 'wal',
    start: lsn(message.readBigUInt64BE(1)),
    serverEnd: lsn(message.readBigUInt64BE(9)),
    sentAt: microsFromPostgres(message.readBigInt64BE(17)),
    bytes: message.subarray(WAL_HEADER_BYTES),
  };
}

function keepaliveOf(message: Buffer): Keepalive {
  return {
    kind: 'keepalive',
    serverEnd: lsn(message.readBigUInt64BE(1)),
    sentAt: microsFromPostgres(message.readBigInt64BE(9)),
    replyRequested: message[17] !== 0,
  };
}

function unknown(message: Buffer): WaldenError {
  return new WaldenError('SERVER_UNREACHABLE', 'PostgreSQL sent something that is neither WAL nor a keepalive', {
    details: { type: message[0], bytes: message.length },
  });
}
