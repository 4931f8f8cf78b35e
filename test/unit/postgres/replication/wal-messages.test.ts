import { describe, expect, it } from 'vitest';
import type { BackendMessage } from '../../../../src/postgres/replication/frame-reader.ts';
import { WalMessages } from '../../../../src/postgres/replication/wal-messages.ts';

const WAL = Buffer.from('7700000000030000a000000000030000ff0000000000000001cafebabe', 'hex');
const KEEPALIVE = Buffer.from('6b00000000030000ff000000000000000101', 'hex');

/** A message as it comes when it is cut at these places. */
function pieces(message: Buffer, cuts: readonly number[]): Pick<BackendMessage, 'body' | 'continues'>[] {
  const places = [0, ...cuts, message.length];
  return places.slice(0, -1).map((from, index) => {
    const body = message.subarray(from, places[index + 1]);
    return index === 0 ? { body } : { body, continues: true };
  });
}

describe('what comes inside CopyData while WAL is streamed', () => {
  it('WAL: where it begins, where the server ends, its bytes', () => {
    expect(new WalMessages().read({ body: WAL })).toEqual({
      ...{ kind: 'wal', start: 0x30000a0n, serverEnd: 0x30000ffn, bytes: Buffer.from('cafebabe', 'hex') },
      sentAt: 946_684_800_000_001,
    });
  });

  it('a keepalive, with and without a question', () => {
    const body = Buffer.from(KEEPALIVE);
    expect(new WalMessages().read({ body })).toEqual({
      ...{ kind: 'keepalive', serverEnd: 0x30000ffn, sentAt: 946_684_800_000_001, replyRequested: true },
    });
    body[17] = 0;
    expect(new WalMessages().read({ body })).toMatchObject({ replyRequested: false });
  });

  it('the same, wherever messages are cut', () => {
    const messages = new WalMessages();
    for (let one = 1; one < WAL.length; one += 1) {
      for (let other = one; other < WAL.length; other += 1) {
        const came = pieces(WAL, [one, other]).flatMap((piece) => messages.read(piece) ?? []);
        let next = 0x30000a0n;
        for (const event of came) {
          if (event.kind !== 'wal') expect.fail(event.kind);
          expect(event).toMatchObject({ start: next, serverEnd: 0x30000ffn, sentAt: 946_684_800_000_001 });
          next += BigInt(event.bytes.length);
        }
        expect(Buffer.concat(came.flatMap((event) => ('bytes' in event ? [event.bytes] : [])))).toEqual(
          WAL.subarray(25),
        );
      }
    }
    for (let cut = 1; cut < KEEPALIVE.length; cut += 1) {
      const came = pieces(KEEPALIVE, [cut]).map((piece) => messages.read(piece));
      expect(came).toEqual([undefined, expect.objectContaining({ kind: 'keepalive', replyRequested: true })]);
    }
  });

  it.each(['', '7a0000'])('%j is refused', (hex) => {
    expect(() => new WalMessages().read({ body: Buffer.from(hex, 'hex') })).toThrow('neither WAL nor a keepalive');
  });

  it.each(['77', '6b00'])('a message that ends behind %j is refused', (hex) => {
    const messages = new WalMessages();
    expect(messages.read({ body: Buffer.from(hex, 'hex') })).toBeUndefined();
    expect(() => messages.read({ body: WAL })).toThrow('neither WAL nor a keepalive');
  });
});
