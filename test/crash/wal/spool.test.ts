import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { systemIdentifier } from '../../../src/postgres/lsn.ts';
import type { ServerRun } from '../../../src/postgres/server-run.ts';
import { parseWalName } from '../../../src/postgres/wal-name.ts';
import { Spool } from '../../../src/wal/spool.ts';
import { type Aftermath, AFTERMATHS, Disk } from '../../support/crash/disk.ts';
import { atEveryStep, untilDeath } from '../../support/crash/every-step.ts';
import { MortalProcess } from '../../support/crash/mortal-process.ts';
import { forgetFiles, watchFiles } from '../../support/crash/watched-files.ts';
import { newDirectory } from '../../support/sandbox.ts';

const OLD = systemIdentifier('7300000000000000001');
const NEW = systemIdentifier('7300000000000000002');
const FILE = parseWalName('000000010000000000000001').name;

async function claim(disk: Disk, process: MortalProcess, boot: string): Promise<void> {
  await untilDeath(process, async () => {
    const spool = new Spool(disk.root);
    await spool.open();
    await spool.claim(NEW, boot);
  });
}

/** Nothing of the old cluster stands in a spool that says it is the new one's, and of this boot. */
function assertTruth(disk: Disk, boot: string): void {
  const identity = join(disk.root, 'identity');
  if (!existsSync(identity) || readFileSync(identity, 'utf8') !== `${NEW} ${boot}\n`) return;
  expect(disk.files()).toEqual(['identity']);
}

async function dieAndGoOn(aftermath: Aftermath, process: MortalProcess): Promise<void> {
  const disk = new Disk(newDirectory('spool'));
  const old = new Spool(disk.root);
  await old.open();
  await old.claim(OLD, 'first');
  await old.acknowledge(FILE, '4711 1800000000' as ServerRun);
  writeFileSync(old.prefetchedPath(FILE), 'of the old cluster');
  await watchFiles(disk);
  try {
    await claim(disk, process, 'first');
    disk.suffer(aftermath);
    const boot = aftermath === 'killed' ? 'first' : 'second';
    assertTruth(disk, boot);
    await claim(disk, new MortalProcess(), boot);
    expect(disk.files()).toEqual(['identity']);
    disk.suffer('the newest name');
    assertTruth(disk, 'third');
    await claim(disk, new MortalProcess(), 'third');
    expect(disk.files()).toEqual(['identity']);
  } finally {
    forgetFiles(disk);
    disk.remove();
  }
}

describe('a spool that gets another cluster while its service dies', () => {
  it.each(AFTERMATHS)('never offers what belongs to the old one: %s', async (aftermath) => {
    await atEveryStep((process) => dieAndGoOn(aftermath, process));
  });
});
