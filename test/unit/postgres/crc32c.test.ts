import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { crc32c } from '../../../src/postgres/crc32c.ts';
import { crc32cOf } from '../../../src/postgres/crc32c-bytes.ts';
import { crc32cMemory, PAGES_AREA } from '../../../src/postgres/crc32c-memory.ts';

/** By the definition, bit by bit. */
function reference(bytes: Uint8Array, crc = 0): number {
  let inverted = ~crc;
  for (const byte of bytes) {
    inverted ^= byte;
    for (let bit = 0; bit < 8; bit += 1) inverted = (inverted >>> 1) ^ ((inverted & 1) === 1 ? 0x82f63b78 : 0);
  }
  return ~inverted >>> 0;
}

const anyCrc = fc.integer({ min: 0, max: 0xffff_ffff });

describe('crc32c', () => {
  it('has the published check values', () => {
    expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
    // RFC 3720, B.4
    expect(crc32c(Buffer.alloc(32))).toBe(0x8a9136aa);
    expect(crc32c(Buffer.alloc(32, 0xff))).toBe(0x62a8ab43);
    expect(crc32c(Buffer.from(Array.from({ length: 32 }, (_, index) => index)))).toBe(0x46dd794e);
  });

  it('is that of the definition, for any length, at any place, going on from any value', () => {
    const bytes = fc.uint8Array({ minLength: 0, maxLength: 116 });
    const property = fc.property(bytes, fc.nat(15), fc.nat(100), anyCrc, (all, start, length, crc) => {
      const end = Math.min(all.length, start + length);
      expect(crc32c(all, start, end, crc)).toBe(reference(all.subarray(start, end), crc));
    });
    fc.assert(property, { numRuns: 1000 });
  });

  it('is the same in parts of every length', () => {
    const bytes = Buffer.from(Array.from({ length: 300 }, (_, index) => (index * 167) & 0xff));
    for (let cut = 0; cut <= bytes.length; cut += 1) {
      expect(crc32c(bytes, cut, bytes.length, crc32c(bytes, 0, cut))).toBe(reference(bytes));
    }
  });
});

describe('crc32cOf', () => {
  it('is that of the definition, going on from any value, of any part of any memory', () => {
    const bytes = fc.uint8Array({ minLength: 0, maxLength: 3000 });
    const property = fc.property(bytes, fc.nat(3000), anyCrc, fc.boolean(), (all, start, crc, isShared) => {
      const memory = isShared ? new Uint8Array(new SharedArrayBuffer(all.length)) : new Uint8Array(all.length);
      memory.set(all);
      const part = memory.subarray(Math.min(start, all.length));
      expect(crc32cOf(part, crc) >>> 0).toBe(reference(part, crc));
      // Signed, as it is given on.
      expect(crc32cOf(part, crc | 0)).toBe(reference(part, crc) | 0);
    });
    fc.assert(property, { numRuns: 500 });
  });
});

describe('crc32cMemory', () => {
  const memory = crc32cMemory();

  it('sums a part wherever it stands, to the last byte of the area, and nothing behind it', () => {
    const property = fc.property(
      fc.uint8Array({ maxLength: 40 }),
      fc.nat(7),
      anyCrc,
      fc.nat(255),
      (part, back, crc, fill) => {
        const end = PAGES_AREA.start + PAGES_AREA.bytes - back;
        memory.bytes.fill(fill, end);
        memory.bytes.set(part, end - part.length);
        expect(memory.crcOfBytes(end - part.length, end, crc) >>> 0).toBe(reference(part, crc));
      },
    );
    fc.assert(property);
  });

  it('sums a record: its data, then its header without the checksum', () => {
    const property = fc.property(fc.uint8Array({ minLength: 24, maxLength: 120 }), fc.nat(255), (record, fill) => {
      const end = PAGES_AREA.start + record.length;
      memory.bytes.set(record, PAGES_AREA.start);
      memory.bytes.fill(fill, end, end + 16);
      const expected = reference(record.subarray(0, 20), reference(record.subarray(24)));
      expect(memory.crcOfRecord(PAGES_AREA.start, end) >>> 0).toBe(expected);
    });
    fc.assert(property, { numRuns: 500 });
  });
});
