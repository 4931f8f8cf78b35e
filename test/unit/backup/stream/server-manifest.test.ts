import { createHash } from 'node:crypto';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ReceivedFiles } from '../../../../src/backup/stream/received-files.ts';
import {
  type ListedFile,
  listedChecksum,
  listedName,
  ServerManifestReader,
} from '../../../../src/backup/stream/server-manifest.ts';
import { parseLsn, systemIdentifier } from '../../../../src/postgres/lsn.ts';
import { crc32cOf } from '../../../../src/postgres/crc32c-bytes.ts';
import { newDirectory } from '../../../support/sandbox.ts';

/** Beyond what a number can hold exactly. */
const SYSTEM = systemIdentifier('7711105170928354537');

function manifest(lines: readonly string[], version: 1 | 2 = 2, system: string = SYSTEM): Buffer {
  const head = version === 1 ? '' : `"System-Identifier": ${system},\n`;
  const text =
    `{ "PostgreSQL-Backup-Manifest-Version": ${version},\n${head}"Files": [\n${lines.join(',\n')}\n],\n` +
    '"WAL-Ranges": [\n{ "Timeline": 1, "Start-LSN": "0/2000028", "End-LSN": "0/2000100" }\n],\n';
  const sha256 = createHash('sha256').update(text).digest('hex');
  return Buffer.from(`${text}"Manifest-Checksum": "${sha256}"}\n`);
}

function line(path: string, size: number): string {
  return (
    `{ "Path": ${JSON.stringify(path)}, "Size": ${size}, "Last-Modified": "2026-11-22 02:15:00 GMT", ` +
    '"Checksum-Algorithm": "CRC32C", "Checksum": "d7a2b3c4" }'
  );
}

function read(bytes: Buffer, cuts: readonly number[] = []) {
  const reader = new ServerManifestReader(SYSTEM);
  const files: ListedFile[] = [];
  const places = [0, ...[...cuts].sort((a, b) => a - b), bytes.length];
  for (const [index, from] of places.slice(0, -1).entries()) {
    files.push(...reader.feed(bytes.subarray(from, places[index + 1])));
  }
  return { files, wal: reader.finish() };
}

describe("the server's backup_manifest", () => {
  const wal = [{ start: parseLsn('0/2000028'), end: parseLsn('0/2000100') }];

  it('gives its files and its WAL, wherever it is cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.string({ minLength: 1, maxLength: 60, unit: 'grapheme' }), fc.nat()), { maxLength: 8 }),
        fc.array(fc.nat(5000), { maxLength: 10 }),
        fc.constantFrom<1 | 2>(1, 2),
        (files, cuts, version) => {
          const bytes = manifest(
            files.map(([path, size]) => line(path, size)),
            version,
          );
          const found = read(
            bytes,
            cuts.map((cut) => cut % bytes.length),
          );
          expect(found.wal).toEqual(wal);
          expect(found.files).toEqual(files.map(([name, size]) => ({ name, size, checksum: 'd7a2b3c4' })));
        },
      ),
    );
  });

  it('knows a name that is not UTF-8 by its bytes', () => {
    const encoded = line('x', 1).replace('"Path": "x"', '"Encoded-Path": "666fff"');
    const name = listedName(Buffer.from('666fff', 'hex'));
    expect(read(manifest([encoded])).files).toMatchObject([{ name }]);
    expect(listedName(Buffer.from('fö'))).toBe('fö');
  });

  it('is refused of another system, although the numbers look alike', () => {
    expect(() => read(manifest([line('a', 1)], 2, '7711105170928354538'))).toThrow('7711105170928354538');
  });

  it('is refused when any byte has changed', () => {
    const bytes = manifest([line('base/1', 8192), line('base/2', 0)]);
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const other = Buffer.from(bytes);
        other[at] = (other[at] ?? 0) ^ change;
        expect(() => read(other)).toThrow();
      }),
    );
  });

  it('is refused when its end is missing, or something follows', () => {
    const bytes = manifest([line('base/1', 8192)]);
    for (let length = 0; length < bytes.length; length += 7) {
      expect(() => read(bytes.subarray(0, length))).toThrow(/ends too early/);
    }
    expect(() => read(Buffer.concat([bytes, Buffer.from('x\n')]))).toThrow('goes on behind its checksum');
    expect(() => read(Buffer.alloc(100_000, 'x'))).toThrow('without an end');
  });

  it('writes a checksum as PostgreSQL does: the lowest byte first', () => {
    // CRC-32C of "123456789" is e3069283.
    expect(listedChecksum(crc32cOf(Buffer.from('123456789'), 0))).toBe('839206e3');
    expect(listedChecksum(0)).toBe('00000000');
  });
});

describe('what came, compared with the manifest', () => {
  const file = (number: number): ListedFile => ({ name: `base/5/${number}`, size: number, checksum: 'ab' });

  function received(count: number): ReceivedFiles {
    const files = new ReceivedFiles(join(newDirectory('received'), 'list'));
    for (let number = 0; number < count; number += 1) files.add(file(number));
    return files;
  }

  it('is the same, however many files there are', () => {
    const files = received(20_000);
    for (let number = 0; number < 20_000; number += 1) files.expect(file(number));
    files.expectEnd();
    files.close();
  });

  it.each([
    ['another checksum', { ...file(1), checksum: 'ac' }],
    ['another size', { ...file(1), size: 2 }],
    ['another name', { ...file(1), name: 'base/5/2' }],
  ])('is refused with %s', (_what, listed) => {
    const files = received(2);
    files.expect(file(0));
    expect(() => {
      files.expect(listed);
    }).toThrow(`${JSON.stringify(listed.name)} did not come as PostgreSQL sent it`);
    files.close();
  });

  it('is refused with files too many or too few', () => {
    const files = received(2);
    files.expect(file(0));
    expect(() => {
      files.expectEnd();
    }).toThrow('more files came');
    expect(() => {
      files.expect(file(2));
    }).toThrow('did not come');
    files.close();
  });
});
