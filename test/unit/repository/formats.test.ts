import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { BackupFacts, ClusterName } from '../../../catalog/catalog.ts';
import { isWaldenError } from '../../../src/errors.ts';
import { parseLsn, systemIdentifier, timelineId } from '../../../src/postgres/lsn.ts';
import { parseMicros } from '../../../src/postgres/timestamp.ts';
import { segmentBytes } from '../../../src/postgres/wal-name.ts';
import { decodeBackupRecord, encodeBackupRecord, type StoredBackup } from '../../../src/repository/backup-record.ts';
import { decodeClusterFile, encodeClusterFile } from '../../../src/repository/cluster-file.ts';
import {
  encodeManifestEntries,
  ManifestEncoder,
  type ManifestEntry,
  ManifestParser,
} from '../../../src/repository/manifest.ts';
import { backupId, clusterName, repositoryName } from '../../../src/repository/names.ts';
import { decodeRepositoryFile, encodeRepositoryFile } from '../../../src/repository/repository-file.ts';
import { openSealedJson, sealJson } from '../../../src/repository/sealed-json.ts';
import { encodeTarHeader } from '../../../src/repository/tar-header.ts';
import type { Sha256Hex } from '../../../storage-drivers/driver.ts';

/** Golden files are kept for ever: they are what older versions of Walden wrote. */
function golden(name: string): Buffer {
  return readFileSync(new URL(`../../../../test/golden/${name}`, import.meta.url));
}

function codeOf(work: () => unknown): string | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    return isWaldenError(error) ? error.code : 'not a WaldenError';
  }
}

const main: ClusterName = clusterName('main');
const identity = {
  systemIdentifier: systemIdentifier('7312345678901234567'),
  majorVersion: 15,
  segmentBytes: segmentBytes(16 * 1024 * 1024),
};
const facts: BackupFacts = {
  identity,
  parent: undefined,
  timeline: timelineId(3),
  startLsn: parseLsn('0/4000028'),
  stopLsn: parseLsn('FFFFFFFF/5000100'),
  stoppedAt: parseMicros('2026-11-22T02:16:00.000001Z'),
  finishedAt: parseMicros('2026-11-22T02:16:05.500000Z'),
  files: 3,
  plainBytes: 8192,
  storedBytes: 300,
  checksumsVerified: true,
  corruptPages: [{ path: 'base/5/16384', blocks: [0, 7] }],
  tablespaces: [{ oid: 16390, location: '/srv/tablespaces/fast' }],
};
const hashA = 'a'.repeat(64) as Sha256Hex;
const backup: StoredBackup = {
  start: {
    repository: repositoryName('local'),
    cluster: main,
    id: backupId('20261122T021500F'),
    label: 'nightly "ä"',
    startedAt: parseMicros('2026-11-22T02:15:00.123456Z'),
  },
  facts,
  backupLabel: 'START WAL LOCATION: 0/4000028 (file 000000030000000000000004)\n',
  tablespaceMap: '16390 /srv/tablespaces/fast\n',
  packs: [{ bytes: 200, sha256: hashA }],
  manifest: { bytes: 100, sha256: 'b'.repeat(64) as Sha256Hex },
  waldenVersion: '0.1.0',
};
const incremental: StoredBackup = {
  ...backup,
  start: { ...backup.start, id: backupId('20261123T021500I') },
  facts: { ...facts, parent: backup.start.id },
  backupLabel:
    'START WAL LOCATION: 0/4000028 (file 000000030000000000000004)\nSTART TIMELINE: 3\n' +
    'INCREMENTAL FROM LSN: 0/2000028\nINCREMENTAL FROM TLI: 3\n',
};
const entries: ManifestEntry[] = [
  { type: 'directory', path: 'base', mode: 0o700 },
  { type: 'tablespace', path: 'pg_tblspc/16390', oid: 16390, location: '/srv/tablespaces/fast' },
  {
    type: 'file',
    path: 'PG_VERSION',
    size: 3,
    mode: 0o600,
    mtime: parseMicros('2026-11-22T02:00:00.000001Z'),
    sha256: hashA,
    pack: 1,
    offset: 0,
    skip: 512,
    frames: [[80, 1024]],
  },
];

const increments: ManifestEntry[] = [
  {
    type: 'file',
    path: 'base/5/INCREMENTAL.1259',
    size: 12,
    mode: 0o600,
    mtime: parseMicros('2026-11-22T02:00:00.000001Z'),
    sha256: hashA,
    pack: 1,
    offset: 80,
    skip: 512,
    frames: [[90, 1024]],
    increment: { blocks: 0, truncation: 7 },
  },
];

function manifestText(): string {
  const encoder = new ManifestEncoder();
  return encoder.begin(backup.start.id) + encoder.entries(encodeManifestEntries(entries)) + encoder.end();
}

function incrementalManifestText(): string {
  const encoder = new ManifestEncoder();
  const encoded = encodeManifestEntries([...entries, ...increments]);
  return encoder.begin(incremental.start.id) + encoder.entries(encoded) + encoder.end();
}

function parseManifest(text: string, chunkBytes = 10, id = backup.start.id): ManifestEntry[] {
  const parser = new ManifestParser(id, 'the manifest');
  const bytes = Buffer.from(text);
  const found: ManifestEntry[] = [];
  for (let at = 0; at < bytes.byteLength; at += chunkBytes)
    found.push(...parser.feed(bytes.subarray(at, at + chunkBytes)));
  parser.finish();
  return found;
}

describe('sealed JSON', () => {
  it('notices a changed value and a missing seal', () => {
    const sealed = sealJson({ b: 1, a: ['x', null] }).toString();
    expect(openSealedJson(Buffer.from(sealed), 'it')).toEqual({ b: 1, a: ['x', null] });
    expect(codeOf(() => openSealedJson(Buffer.from(sealed.replace('1', '2')), 'it'))).toBe('CHECKSUM_MISMATCH');
    expect(codeOf(() => openSealedJson(Buffer.from('{"b":1}'), 'it'))).toBe('FORMAT_INVALID');
    expect(codeOf(() => openSealedJson(Buffer.from(sealed.slice(0, -5)), 'it'))).toBe('FORMAT_INVALID');
    expect(codeOf(() => openSealedJson(Buffer.from('[1]'), 'it'))).toBe('FORMAT_INVALID');
  });
});

describe('walden.json', () => {
  it('is written as the golden file and read from it', () => {
    expect(encodeRepositoryFile().toString()).toBe(golden('walden.json').toString());
    expect(decodeRepositoryFile(golden('walden.json'), 'it')).toEqual({ format: 1 });
  });

  it('of a later format is refused', () => {
    expect(codeOf(() => decodeRepositoryFile(sealJson({ format: 2 }), 'it'))).toBe('FORMAT_TOO_NEW');
  });
});

describe('cluster.json', () => {
  it('is written as the golden file and read from it', () => {
    const file = { name: main, history: [identity] as const };
    expect(encodeClusterFile(file).toString()).toBe(golden('cluster.json').toString());
    expect(decodeClusterFile(golden('cluster.json'), main, 'it')).toEqual(file);
  });

  it('of another cluster or a later format is refused', () => {
    expect(codeOf(() => decodeClusterFile(golden('cluster.json'), clusterName('other'), 'it'))).toBe('FORMAT_INVALID');
    expect(codeOf(() => decodeClusterFile(sealJson({ format: 2 }), main, 'it'))).toBe('FORMAT_TOO_NEW');
  });
});

describe('backup.json', () => {
  it('is written as the golden file and read from it', () => {
    expect(encodeBackupRecord(backup).toString()).toBe(golden('backup.json').toString());
    expect(decodeBackupRecord(golden('backup.json'), repositoryName('local'), 'it')).toEqual(backup);
  });

  it('of an incremental backup is written as its golden file and read from it', () => {
    expect(encodeBackupRecord(incremental).toString()).toBe(golden('backup-incremental.json').toString());
    expect(decodeBackupRecord(golden('backup-incremental.json'), repositoryName('local'), 'it')).toEqual(incremental);
    // Who knows only format 1 takes this for newer than himself, and restores nothing of it.
    expect(openSealedJson(encodeBackupRecord(incremental), 'it')).toMatchObject({ format: 2, parent: backup.start.id });
  });

  it('that says one thing of its parent and another of its kind is refused', () => {
    const sealed = openSealedJson(golden('backup-incremental.json'), 'it');
    const { parent, ...orphan } = sealed;
    const id = sealed['id'] as string;
    for (const odd of [
      { ...sealed, format: 1 },
      orphan,
      { ...sealed, id: id.replace('I', 'F') },
      { ...sealed, parent: id },
      { ...sealed, parent: '../other' },
      { ...openSealedJson(golden('backup.json'), 'it'), parent },
    ]) {
      expect(codeOf(() => decodeBackupRecord(sealJson(odd), repositoryName('local'), 'it'))).toBe('FORMAT_INVALID');
    }
  });

  it('of a later format, changed, or without a field is refused', () => {
    const decode = (bytes: Uint8Array): unknown => decodeBackupRecord(bytes, repositoryName('local'), 'it');
    expect(codeOf(() => decode(sealJson({ format: 3 })))).toBe('FORMAT_TOO_NEW');
    expect(codeOf(() => decode(sealJson({ format: 1 })))).toBe('FORMAT_INVALID');
    const changed = golden('backup.json').toString().replace('0/4000028', '0/4000029');
    expect(codeOf(() => decode(Buffer.from(changed)))).toBe('CHECKSUM_MISMATCH');
  });
});

describe('the manifest', () => {
  it('is written as the golden file and read from it in chunks of any size', () => {
    expect(manifestText()).toBe(golden('manifest.ndjson').toString());
    for (const chunkBytes of [1, 13, 100_000]) {
      expect(parseManifest(golden('manifest.ndjson').toString(), chunkBytes)).toEqual(entries);
    }
  });

  it('is refused when its end is missing or counts otherwise', () => {
    const text = manifestText();
    expect(codeOf(() => parseManifest(text.slice(0, -1)))).toBe('FORMAT_INVALID');
    expect(codeOf(() => parseManifest(text.slice(0, text.lastIndexOf('{'))))).toBe('FORMAT_INVALID');
    expect(codeOf(() => parseManifest(text.replace('"entries":3', '"entries":4')))).toBe('FORMAT_INVALID');
    expect(codeOf(() => parseManifest(`${text}{}\n`))).toBe('FORMAT_INVALID');
  });

  it('of another backup or a later format is refused', () => {
    expect(codeOf(() => parseManifest(manifestText().replace('T021500F', 'T021501F')))).toBe('FORMAT_INVALID');
    expect(codeOf(() => parseManifest(manifestText().replace('"walden":1', '"walden":3')))).toBe('FORMAT_TOO_NEW');
    expect(codeOf(() => parseManifest(manifestText().replace('"walden":1', '"walden":2')))).toBe('FORMAT_INVALID');
  });

  it('of an incremental backup is written as its golden file and read from it', () => {
    expect(incrementalManifestText()).toBe(golden('manifest-incremental.ndjson').toString());
    const parse = (text: string): ManifestEntry[] => parseManifest(text, 10, incremental.start.id);
    expect(parse(golden('manifest-incremental.ndjson').toString())).toEqual([...entries, ...increments]);
    const text = incrementalManifestText();
    for (const odd of [
      text.replace('"walden":2', '"walden":1'),
      text.replace(',"increment":{"blocks":0,"truncation":7}', ''),
      text.replace('INCREMENTAL.1259', '1259'),
      text.replace('"blocks":0', '"blocks":1'),
      text.replace('"truncation":7', '"truncation":4294967295'),
    ]) {
      expect(codeOf(() => parse(odd))).toBe('FORMAT_INVALID');
    }
    // Of a full one it is a stranger's file.
    const full = text.replace('"walden":2', '"walden":1').replace(incremental.start.id, backup.start.id);
    expect(codeOf(() => parseManifest(full))).toBe('FORMAT_INVALID');
  });

  it.each(['../x', '/etc/passwd', 'a/../../x', 'a//b', '.', '', 'a/.', 'a\\u0000b', 'a/'])(
    'is refused when it names %j',
    (path) => {
      expect(codeOf(() => parseManifest(manifestText().replace('PG_VERSION', path)))).toBe('FORMAT_INVALID');
    },
  );

  it('is refused when a tablespace or the frames of a file do not fit', () => {
    expect(codeOf(() => parseManifest(manifestText().replace('pg_tblspc/16390', 'base/x')))).toBe('FORMAT_INVALID');
    expect(codeOf(() => parseManifest(manifestText().replace('"/srv/', '"srv/')))).toBe('FORMAT_INVALID');
    expect(codeOf(() => parseManifest(manifestText().replace('[80,1024]', '[80,514]')))).toBe('FORMAT_INVALID');
  });
});

describe('tar headers', () => {
  it('are written as the golden file', () => {
    const owner = { uid: 70, gid: 70, mtimeSeconds: 1_700_000_000 };
    const bytes = Buffer.concat([
      encodeTarHeader({ path: 'base/5/16384', type: 'file', size: 8192, mode: 0o600, ...owner }),
      encodeTarHeader({ path: 'pg_wal', type: 'directory', size: 0, mode: 0o700, ...owner }),
      encodeTarHeader({ path: `${'d'.repeat(120)}/file`, type: 'file', size: 1, mode: 0o600, ...owner }),
      encodeTarHeader({ path: 'ä'.repeat(80), type: 'file', size: 9_000_000_000, mode: 0o600, ...owner }),
    ]);
    expect(bytes.toString('base64')).toBe(golden('tar-headers.base64').toString().trim());
  });
});
