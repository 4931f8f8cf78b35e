import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { isWaldenError } from '../../../src/errors.ts';
import { checkTarget, claimTarget, MARKER, ownerFor, removeMarkers } from '../../../src/restore/target-directory.ts';
import { newDirectory } from '../../support/sandbox.ts';

const FACTS = { cluster: 'main', backup: '20261122T021500F', startedAt: '2026-11-22T12:00:00.000000Z' };
const DEAD = 0x3ffffff;
let base: string;
let data: string;
let other: string;

function mark(directory: string, process: object, dataDirectory = data): void {
  mkdirSync(join(directory, 'base'), { recursive: true });
  writeFileSync(join(directory, MARKER), JSON.stringify({ dataDirectory, process }));
}

const target = (...tablespaceDirectories: readonly string[]) => ({ dataDirectory: data, tablespaceDirectories });

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'none';
  } catch (error) {
    return isWaldenError(error) ? error.code : String(error);
  }
}

beforeEach(() => {
  base = newDirectory('target-');
  data = join(base, 'data');
  other = join(base, 'other');
});

describe('claimTarget', () => {
  it('leaves nothing but the marker, in new directories with their parents', async () => {
    data = join(base, 'a', 'b', 'data');
    (await claimTarget(target(other), FACTS, undefined))();
    expect(readdirSync(data)).toEqual([MARKER]);
    expect(readdirSync(other)).toEqual([MARKER]);
    expect(JSON.parse(readFileSync(join(data, MARKER), 'utf8'))).toMatchObject({ ...FACTS, dataDirectory: data });
    await removeMarkers(target(other));
    expect(readdirSync(data)).toEqual([]);
  });

  it('empties what an interrupted restore left, and follows no link out of it', async () => {
    mark(data, { pid: DEAD });
    const precious = join(base, 'precious');
    mkdirSync(precious);
    writeFileSync(join(precious, 'file'), 'x');
    symlinkSync(precious, join(data, 'base', 'link'));
    symlinkSync(precious, join(data, 'link'));
    (await claimTarget(target(), FACTS, undefined))();
    expect(readdirSync(data)).toEqual([MARKER]);
    expect(existsSync(join(precious, 'file'))).toBe(true);
  });

  it('goes on after a crash that left a torn marker and nothing else', async () => {
    mkdirSync(data);
    writeFileSync(join(data, MARKER), '{"dataDir');
    (await claimTarget(target(), FACTS, undefined))();
    expect(readdirSync(data)).toEqual([MARKER]);
  });

  it.skipIf(process.getuid?.() !== 0)('gives what root makes to the owner of the nearest parent', async () => {
    const { chownSync } = await import('node:fs');
    chownSync(base, 1234, 1235);
    data = join(base, 'a', 'data');
    const owner = await ownerFor(data);
    expect(owner).toEqual({ uid: 1234, gid: 1235 });
    (await claimTarget(target(), FACTS, owner))();
    for (const path of [join(base, 'a'), data, join(data, MARKER)]) expect(statSync(path).uid, path).toBe(1234);
  });
});

describe('checkTarget', () => {
  it('accepts what is absent, empty or interrupted', async () => {
    expect(await codeOf(checkTarget(target(other)))).toBe('none');
    mkdirSync(other);
    expect(await codeOf(checkTarget(target(other)))).toBe('none');
    mark(data, { pid: DEAD });
    expect(await codeOf(checkTarget(target(other)))).toBe('none');
  });

  const use = (directory: string): void => {
    mkdirSync(directory);
    writeFileSync(join(directory, 'x'), '');
  };

  it.each<[string, () => void]>([
    [
      'a file of somebody else',
      () => {
        use(data);
      },
    ],
    [
      'a torn marker beside files',
      () => {
        use(data);
        writeFileSync(join(data, MARKER), '{');
      },
    ],
    [
      'a marker of another restore',
      () => {
        mark(data, { pid: DEAD }, '/elsewhere');
      },
    ],
    [
      'a file in its place',
      () => {
        writeFileSync(data, '');
      },
    ],
    [
      'a marker and a control file',
      () => {
        mark(data, { pid: DEAD });
        mkdirSync(join(data, 'global'));
        writeFileSync(join(data, 'global', 'pg_control'), '');
      },
    ],
    [
      'a tablespace directory in use',
      () => {
        use(other);
      },
    ],
    [
      'a tablespace of another restore',
      () => {
        mark(other, { pid: DEAD }, '/elsewhere');
      },
    ],
  ])('refuses %s', async (_, prepare) => {
    prepare();
    expect(await codeOf(checkTarget(target(other)))).toBe('PATH_NOT_EMPTY');
  });

  it('refuses a directory that another living process fills', async () => {
    mark(data, { pid: process.ppid });
    expect(await codeOf(checkTarget(target()))).toBe('LOCK_HELD');
  });

  it.runIf(existsSync('/proc/self/stat'))('is not deceived by a process id that was given out again', async () => {
    mark(data, { pid: process.ppid, startTicks: '1' });
    expect(await codeOf(checkTarget(target()))).toBe('none');
  });

  it('refuses a running server, and says which process it is', async () => {
    mkdirSync(data);
    writeFileSync(join(data, 'postmaster.pid'), `${process.pid}\n`);
    expect(await codeOf(checkTarget(target()))).toBe('SERVER_RUNNING');
    writeFileSync(join(data, 'postmaster.pid'), `${DEAD}\n`);
    expect(await codeOf(checkTarget(target()))).toBe('PATH_NOT_EMPTY');
  });
});
