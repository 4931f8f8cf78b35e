import { describe, expect, it } from 'vitest';
import { lsn } from '../../../../src/postgres/lsn.ts';
import { micros } from '../../../../src/postgres/timestamp.ts';
import {
  readColumns,
  readErrorFields,
  readValues,
  statusUpdate,
} from '../../../../src/postgres/replication/messages.ts';

describe('a standby status update', () => {
  it('says what is written and flushed, that nothing is applied, and when', () => {
    const position = { written: lsn(0x1_0000_0002n), flushed: lsn(0x1_0000_0001n) };
    // One microsecond after 2000-01-01.
    expect(statusUpdate(position, micros(946_684_800_000_001), true).toString('hex')).toBe(
      [
        ...['64', '00000026', '72', '0000000100000002', '0000000100000001'],
        ...['0000000000000000', '0000000000000001', '01'],
      ].join(''),
    );
  });

  it('may leave open what is flushed', () => {
    const silent = statusUpdate({ written: lsn(2n), flushed: undefined }, micros(946_684_800_000_001), false);
    expect(silent.subarray(14, 22).toString('hex')).toBe('0000000000000000');
  });
});

describe('what commands answer', () => {
  it('columns and values, NULL and the empty text told apart', () => {
    const column = (name: string): Buffer => Buffer.concat([Buffer.from(`${name}\0`), Buffer.alloc(18)]);
    expect(readColumns(Buffer.concat([Buffer.from([0, 2]), column('next_tli'), column('b')]))).toEqual([
      'next_tli',
      'b',
    ]);
    const values = Buffer.concat([
      Buffer.from([0, 3, 0, 0, 0, 1]),
      Buffer.from('x'),
      Buffer.from('ffffffff00000000', 'hex'),
    ]);
    expect(readValues(values)).toEqual([Buffer.from('x'), undefined, Buffer.alloc(0)]);
  });

  it('errors: each field by its letter', () => {
    const fields = readErrorFields(Buffer.from('SERROR\0VERROR\0C55006\0Mslot in use\0\0'));
    expect(Object.fromEntries(fields)).toEqual({ S: 'ERROR', V: 'ERROR', C: '55006', M: 'slot in use' });
  });
});
