import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isEntryPath } from '../../../src/repository/manifest.ts';
import { encodeTarHeader, tarEnd, tarPaddingBytes } from '../../../src/repository/tar-header.ts';

const hasTar = spawnSync('tar', ['--version']).stdout.toString('utf8').includes('GNU tar');

describe.skipIf(!hasTar)('a tar stream', () => {
  it('opens with GNU tar, whatever the names', () => {
    const part = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 });
    const path = fc
      .array(part, { minLength: 1, maxLength: 5 })
      .map((parts) => parts.map((text) => text.replaceAll('/', '_')).join('/'))
      .filter((text) => isEntryPath(text) && text.split('/').every((name) => Buffer.byteLength(name) < 255))
      .filter((text) => Buffer.from(text).toString() === text);
    fc.assert(
      fc.property(path, fc.uint8Array({ maxLength: 2000 }), (name, data) => {
        const directory = mkdtempSync(join(tmpdir(), 'walden-tar-'));
        try {
          const header = encodeTarHeader({
            path: name,
            type: 'file',
            size: data.byteLength,
            mode: 0o640,
            uid: process.getuid?.() ?? 0,
            gid: process.getgid?.() ?? 0,
            mtimeSeconds: 1_700_000_000,
          });
          const input = Buffer.concat([header, data, Buffer.alloc(tarPaddingBytes(data.byteLength)), tarEnd()]);
          execFileSync('tar', ['-xi', '-C', directory], { input });
          expect(readFileSync(join(directory, name)).equals(data)).toBe(true);
          expect(statSync(join(directory, name)).mtimeMs).toBe(1_700_000_000_000);
        } finally {
          rmSync(directory, { recursive: true });
        }
      }),
      { numRuns: 40 },
    );
  });
});
