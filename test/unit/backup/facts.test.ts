import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { WalRange } from '../../../catalog/catalog.ts';
import { backupManifestEntries, BackupManifestFile } from '../../../src/repository/backup-manifest-file.ts';
import { backupIdAt } from '../../../src/backup/choose-id.ts';
import { corruptPages } from '../../../src/backup/corrupt-pages.ts';
import { StagedFile } from '../../../src/repository/staged-file.ts';
import { firstMissing, neededWal } from '../../../src/backup/wait-for-wal.ts';
import { lsn, parseLsn, systemIdentifier, timelineId } from '../../../src/postgres/lsn.ts';
import { parseMicros } from '../../../src/postgres/timestamp.ts';
import { segmentBytes } from '../../../src/postgres/wal-name.ts';
import type { Sha256Hex } from '../../../storage-drivers/driver.ts';
import { newDirectory } from '../../support/sandbox.ts';

const first = timelineId(1);
const mebibyte16 = segmentBytes(16 * 1024 * 1024);

describe('the WAL that a backup needs', () => {
  it('goes from the segment of the start to that of the last byte before the stop', () => {
    const needed = neededWal(first, parseLsn('0/5000028'), parseLsn('0/7000000'), mebibyte16);
    expect(needed).toMatchObject({ first: 5n, last: 6n });
    expect(neededWal(first, parseLsn('0/5000028'), parseLsn('0/5000100'), mebibyte16)).toMatchObject({
      first: 5n,
      last: 5n,
    });
  });

  it('is missing from the first hole on', () => {
    const range = (from: number, to: number, timeline = 1): WalRange => ({
      timeline: timelineId(timeline),
      first: BigInt(from),
      last: BigInt(to),
      storedBytes: 1,
    });
    const needed = { timeline: first, first: 5n, last: 9n, segmentBytes: mebibyte16 };
    expect(firstMissing(needed, [])).toBe(5n);
    expect(firstMissing(needed, [range(1, 20)])).toBeUndefined();
    expect(firstMissing(needed, [range(1, 3), range(5, 9)])).toBeUndefined();
    expect(firstMissing(needed, [range(5, 6), range(7, 8)])).toBe(9n);
    expect(firstMissing(needed, [range(5, 6), range(8, 20)])).toBe(7n);
    expect(firstMissing(needed, [range(6, 20)])).toBe(5n);
    expect(firstMissing(needed, [range(1, 20, 2)])).toBe(5n);
    expect(firstMissing(needed, [range(5, 7), range(1, 20, 2)])).toBe(8n);
  });
});

describe('pages with a wrong checksum', () => {
  it('are corrupt when they are old, or newer than the backup can hold', () => {
    const stop = parseLsn('0/9000000');
    const found = corruptPages(
      [
        { path: 'base/5/2', block: 7, lsn: undefined },
        { path: 'base/5/2', block: 3, lsn: lsn(stop + 1n) },
        { path: 'base/5/2', block: 4, lsn: stop },
        { path: 'base/5/1', block: 0, lsn: undefined },
      ],
      stop,
    );
    expect(found).toEqual([
      { path: 'base/5/1', blocks: [0] },
      { path: 'base/5/2', blocks: [3, 7] },
    ]);
  });
});

describe('the id of a backup', () => {
  it('is the second of its start', () => {
    const moment = new Date('2026-11-22T02:15:00.999Z');
    expect(backupIdAt(moment, 'full')).toBe('20261122T021500F');
    expect(backupIdAt(moment, 'incremental')).toBe('20261122T021500I');
  });
});

describe("PostgreSQL's backup manifest", () => {
  it.each([
    [16, '{ "PostgreSQL-Backup-Manifest-Version": 1,\n"Files": [\n'],
    [17, '{ "PostgreSQL-Backup-Manifest-Version": 2,\n"System-Identifier": 7312345678901234567,\n"Files": [\n'],
  ])('of version %i begins as the server writes it and ends with its own hash', async (majorVersion, head) => {
    const path = join(newDirectory('manifest-'), 'backup_manifest');
    const staged = await StagedFile.create(path);
    const identity = {
      systemIdentifier: systemIdentifier('7312345678901234567'),
      majorVersion,
      segmentBytes: mebibyte16,
    };
    const manifest = new BackupManifestFile(staged, identity);
    const mtime = parseMicros('2026-11-22T02:15:00.999999Z');
    const file = { path: 'base/5/1', size: 8192, mtime, sha256: 'a'.repeat(64) as Sha256Hex };
    manifest.add({ files: 2, postgres: backupManifestEntries([file, { ...file, path: 'base/5/2' }]) });
    manifest.add({ files: 0, postgres: '' });
    const wal = { timeline: first, start: parseLsn('0/5000028'), stop: parseLsn('0/5000100') };
    await manifest.end([{ ...file, path: 'with "quotes"', size: 0 }], wal);
    const text = readFileSync(path, 'utf8');
    expect(text.startsWith(head)).toBe(true);
    expect(text).toContain('{ "Path": "base/5/1", "Size": 8192, "Last-Modified": "2026-11-22 02:15:00 GMT", ');
    const covered = text.slice(0, text.lastIndexOf('"Manifest-Checksum"'));
    const json = JSON.parse(text) as Record<string, unknown>;
    const paths = (json['Files'] as readonly { readonly Path: string }[]).map(({ Path }) => Path);
    expect(paths).toEqual(['base/5/1', 'base/5/2', 'with "quotes"']);
    expect(json['Manifest-Checksum']).toBe(createHash('sha256').update(covered).digest('hex'));
    expect(json['WAL-Ranges']).toEqual([{ Timeline: 1, 'Start-LSN': '0/5000028', 'End-LSN': '0/5000100' }]);
  });
});
