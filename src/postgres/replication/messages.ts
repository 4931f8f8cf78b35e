import type { Lsn } from '../lsn.ts';
import { type Micros, postgresFromMicros } from '../timestamp.ts';

/** Messages of the streaming replication protocol (protocol.sgml): big-endian, moments in microseconds since 2000. */

/** How far a receiver is. */
export interface ReceiverPosition {
  readonly written: Lsn;
  /** What the server may forget, which its slot notes; undefined says nothing, and leaves the slot where it is. */
  readonly flushed: Lsn | undefined;
}

/**
 * A standby status update as a whole message. Nothing is ever applied here, and saying so would end the waiting of
 * `synchronous_commit = remote_apply` for something that did not happen: so the third position stays 0, "not known".
 */
export function statusUpdate({ written, flushed }: ReceiverPosition, at: Micros, replyNow: boolean): Buffer {
  const body = Buffer.alloc(34);
  body.writeUInt8(0x72, 0);
  body.writeBigUInt64BE(written, 1);
  body.writeBigUInt64BE(flushed ?? 0n, 9);
  body.writeBigUInt64BE(0n, 17);
  body.writeBigInt64BE(postgresFromMicros(at), 25);
  body.writeUInt8(replyNow ? 1 : 0, 33);
  return message('d', body);
}

export function simpleQuery(text: string): Buffer {
  return message('Q', Buffer.from(`${text}\0`, 'utf8'));
}

/** Bytes of a copy to the server. */
export function copyData(bytes: Buffer): Buffer {
  return message('d', bytes);
}

export const COPY_DONE = message('c', Buffer.alloc(0));
export const TERMINATE = message('X', Buffer.alloc(0));

function message(type: string, body: Buffer): Buffer {
  const header = Buffer.alloc(5);
  header.write(type, 'latin1');
  header.writeUInt32BE(body.length + 4, 1);
  return Buffer.concat([header, body]);
}

/** Fields of an ErrorResponse, by their letter: `C` the SQLSTATE, `M` the message, `V` the severity in English. */
export function readErrorFields(body: Buffer): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  let at = 0;
  while (at < body.length && body[at] !== 0) {
    const end = body.indexOf(0, at + 1);
    if (end < 0) break;
    fields.set(String.fromCharCode(body[at] ?? 0), body.toString('utf8', at + 1, end));
    at = end + 1;
  }
  return fields;
}

/** Names of the columns of a RowDescription. */
export function readColumns(body: Buffer): readonly string[] {
  const names: string[] = [];
  let at = 2;
  for (let left = body.readUInt16BE(0); left > 0; left -= 1) {
    const end = body.indexOf(0, at);
    names.push(body.toString('utf8', at, end));
    // Table, column, type, its size and modifier, format.
    at = end + 1 + 18;
  }
  return names;
}

/** Values of a DataRow as they came; undefined for NULL. */
export function readValues(body: Buffer): readonly (Buffer | undefined)[] {
  const values: (Buffer | undefined)[] = [];
  let at = 2;
  for (let left = body.readUInt16BE(0); left > 0; left -= 1) {
    const length = body.readInt32BE(at);
    at += 4;
    values.push(length < 0 ? undefined : body.subarray(at, at + length));
    at += Math.max(0, length);
  }
  return values;
}
