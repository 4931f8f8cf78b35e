import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TarReader } from '../../../../src/backup/stream/tar-reader.ts';
import { encodeTarHeader, tarEnd, tarPaddingBytes } from '../../../../src/repository/tar-header.ts';

interface Member {
  readonly path: string;
  readonly type: 'file' | 'directory';
  readonly body: Buffer;
}

const OWNER = { mode: 0o640, uid: 26, gid: 27, mtimeSeconds: 1_700_000_000 };

function archive(members: readonly Member[], end = tarEnd()): Buffer {
  const parts = members.flatMap(({ path, type, body }) => [
    encodeTarHeader({ path, type, size: body.length, ...OWNER }),
    body,
    Buffer.alloc(tarPaddingBytes(body.length)),
  ]);
  return Buffer.concat([...parts, end]);
}

/** What comes out when the archive is fed in pieces that end at these places. */
function read(bytes: Buffer, cuts: readonly number[] = []): Member[] {
  const reader = new TarReader('it');
  const members: { path: string; type: Member['type']; pieces: Buffer[]; ended: boolean }[] = [];
  const places = [0, ...[...cuts].sort((a, b) => a - b), bytes.length];
  for (const [index, from] of places.slice(0, -1).entries()) {
    for (const event of reader.feed(bytes.subarray(from, places[index + 1]))) {
      const last = members.at(-1);
      if (event.kind === 'member') {
        const { name, type } = event.member;
        if (type === 'symlink') throw new Error('a symlink');
        if (last?.ended === false) throw new Error('the one before has no end');
        members.push({ path: name.toString(), type, pieces: [], ended: type === 'directory' });
      } else if (event.kind === 'body') last!.pieces.push(Buffer.from(event.bytes));
      else last!.ended = true;
    }
  }
  reader.finish();
  if (!members.every(({ ended }) => ended)) throw new Error('one has no end');
  return members.map(({ path, type, pieces }) => ({ path, type, body: Buffer.concat(pieces) }));
}

function withNumber(field: Buffer, at: number): Buffer {
  const bytes = archive([{ path: 'a', type: 'file', body: Buffer.alloc(0) }]);
  field.copy(bytes, at);
  return checked(bytes);
}

/** With the checksum of the first header made right. */
function checked(bytes: Buffer): Buffer {
  bytes.write('        ', 148, 'latin1');
  const sum = bytes.subarray(0, 512).reduce((total, byte) => total + byte, 0);
  bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return bytes;
}

function firstOf(bytes: Buffer): { readonly size: number; readonly mtimeSeconds: number; readonly target: string } {
  for (const event of new TarReader('it').feed(bytes)) {
    if (event.kind === 'member') return { ...event.member, target: event.member.target.toString() };
  }
  throw new Error('no member came');
}

const member = fc.record({
  path: fc.stringMatching(/^[a-z0-9 ._-]{1,40}(\/[a-z0-9 ._-]{1,40})?$/),
  type: fc.constantFrom('file', 'directory'),
  bytes: fc.oneof(fc.integer({ min: 0, max: 1100 }), fc.constantFrom(0, 511, 512, 513, 1024)),
});

function made({ path, type, bytes }: { path: string; type: 'file' | 'directory'; bytes: number }): Member {
  return { path, type, body: type === 'file' ? Buffer.alloc(bytes, path) : Buffer.alloc(0) };
}

describe('a tar as PostgreSQL sends it', () => {
  it('gives its members, wherever it is cut', () => {
    fc.assert(
      fc.property(
        fc.array(member, { maxLength: 6 }),
        fc.array(fc.nat(10_000), { maxLength: 20 }),
        fc.boolean(),
        (given, cuts, hasEnd) => {
          const members = given.map(made);
          const bytes = archive(members, hasEnd ? tarEnd() : Buffer.alloc(0));
          expect(
            read(
              bytes,
              cuts.map((cut) => cut % (bytes.length + 1)),
            ),
          ).toEqual(members);
        },
      ),
    );
  });

  it('is the same cut at each single byte', () => {
    const members = [
      { path: 'backup_label', type: 'file', body: Buffer.from('START WAL') },
      { path: 'base', type: 'directory', body: Buffer.alloc(0) },
      { path: 'base/empty', type: 'file', body: Buffer.alloc(0) },
      { path: 'base/1', type: 'file', body: Buffer.alloc(700, 7) },
    ] as const;
    const bytes = archive(members);
    const whole = JSON.stringify(members);
    for (let cut = 0; cut <= bytes.length; cut += 1) {
      if (JSON.stringify(read(bytes, [cut])) !== whole) throw new Error(`another one, cut at ${cut}`);
    }
    expect(read(bytes, Array.from(bytes.keys()))).toEqual(members);
  });

  it('has symlinks with where they lead', () => {
    const bytes = archive([{ path: 'pg_tblspc/16384', type: 'directory', body: Buffer.alloc(0) }]);
    bytes.write('2', 156, 'latin1');
    bytes.write('/srv/a space', 157);
    expect(firstOf(checked(bytes))).toMatchObject({ type: 'symlink', size: 0, target: '/srv/a space' });
    expect(firstOf(bytes)).toMatchObject({ name: Buffer.from('pg_tblspc/16384') });
  });

  it('has sizes in octal and, where they do not fit, in base 256', () => {
    expect(firstOf(withNumber(Buffer.from('17777777777 '), 124)).size).toBe((8 * 1024 ** 3) / 4 - 1);
    const large = Buffer.alloc(12);
    large[0] = 0x80;
    large.writeBigUInt64BE(20n * 1024n ** 4n, 4);
    expect(firstOf(withNumber(large, 124)).size).toBe(20 * 1024 ** 4);
    expect(firstOf(withNumber(Buffer.from('00000000000\0'), 136)).mtimeSeconds).toBe(0);
  });

  it.each([
    ['a number that is none', () => withNumber(Buffer.from('0000000008 '), 124)],
    ['a number beyond what can be counted', () => withNumber(Buffer.alloc(12, 0xff), 124)],
    ['a wrong checksum', () => Buffer.concat([Buffer.from('b'), archive([]).subarray(1)])],
    ['another magic', () => withNumber(Buffer.from('gnu!!'), 257)],
    ['a prefix', () => withNumber(Buffer.from('somewhere'), 345)],
    ["GNU's long name", () => withNumber(Buffer.from('L'), 156)],
    ['a pax header', () => archive([{ path: 'é', type: 'file', body: Buffer.alloc(0) }])],
    ['a device', () => withNumber(Buffer.from('4'), 156)],
    [
      'a directory with bytes',
      () => withNumber(Buffer.concat([Buffer.from('0000001000 '), Buffer.alloc(21, 0), Buffer.from('5')]), 124),
    ],
    ['something behind its end', () => Buffer.concat([tarEnd(), Buffer.alloc(512, 1)])],
  ])('is refused with %s', (_what, bytes) => {
    expect(() => read(bytes())).toThrow(/is no tar as PostgreSQL sends it/);
  });

  it('is refused when it ends inside a member', () => {
    const bytes = archive([{ path: 'a', type: 'file', body: Buffer.alloc(600) }], Buffer.alloc(0));
    for (const length of [1, 511, 512, 513, 1111, 1113, bytes.length - 1]) {
      expect(() => read(bytes.subarray(0, length))).toThrow('ends inside a member');
    }
  });

  it('is refused or read, whatever byte of a header changes, and never more than it holds', () => {
    const bytes = archive([{ path: 'base/1/2', type: 'file', body: Buffer.alloc(100, 1) }]);
    fc.assert(
      fc.property(fc.nat(511), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const other = Buffer.from(bytes);
        other[at] = (other[at] ?? 0) ^ change;
        expect(() => read(other)).toThrow(/is no tar/);
      }),
    );
  });
});
