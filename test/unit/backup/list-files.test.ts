import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { listDataDirectory, type SourceEntry } from '../../../src/backup/list-files.ts';
import { createPackControl, STOP } from '../../../src/backup/pack-input.ts';
import { planTasks } from '../../../src/backup/plan-tasks.ts';
import { membersOf } from '../../../src/backup/planned-files.ts';
import type { SurveyInput } from '../../../src/backup/survey-input.ts';
import { surveyDataDirectory } from '../../../src/backup/survey-task.ts';
import { newDirectory } from '../../support/sandbox.ts';

function write(root: string, path: string, content: string | Buffer = path): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), content);
}

function list(dataDirectory: string, notes: string[] = []): SourceEntry[] {
  const note = (message: string): void => {
    notes.push(message);
  };
  return [...listDataDirectory({ dataDirectory, majorVersion: 15, note })].sort((a, b) => (a.path < b.path ? -1 : 1));
}

const pathsOf = (entries: readonly SourceEntry[], type: SourceEntry['type']): string[] =>
  entries.filter((entry) => entry.type === type).map(({ path }) => path);

describe('listing a data directory', () => {
  it('gives files and directories, without what the server makes anew', () => {
    const root = newDirectory('list-');
    for (const path of ['PG_VERSION', 'base/5/16384', 'base/5/16385', 'base/5/16385_init', 'base/pgsql_tmp/x']) {
      write(root, path);
    }
    for (const path of ['pg_wal/000000010000000000000001', 'pg_stat_tmp/a', 'postmaster.pid']) write(root, path);
    const entries = list(root);
    expect(pathsOf(entries, 'file')).toEqual(['PG_VERSION', 'base/5/16384', 'base/5/16385_init']);
    expect(pathsOf(entries, 'directory')).toEqual(['base', 'base/5', 'pg_stat_tmp', 'pg_wal', 'pg_wal/archive_status']);
    expect(entries.find(({ path }) => path === 'PG_VERSION')).toMatchObject({ bytes: 10 });
  });

  it('follows pg_wal and tablespaces, and no other symlink', () => {
    const root = newDirectory('list-');
    const outside = newDirectory('out-');
    write(outside, 'wal/000000010000000000000001');
    write(outside, 'space/PG_15_202209061/5/16400');
    write(outside, 'space/PG_14_202107181/5/16400');
    write(outside, 'secret');
    mkdirSync(join(root, 'pg_tblspc'));
    symlinkSync(join(outside, 'wal'), join(root, 'pg_wal'));
    symlinkSync(join(outside, 'space'), join(root, 'pg_tblspc/16390'));
    symlinkSync(join(outside, 'secret'), join(root, 'linked-file'));
    symlinkSync(join(outside, 'space'), join(root, 'linked-directory'));
    write(root, 'pg_tblspc/16391/PG_15_202209061/5/16500');
    const notes: string[] = [];
    const entries = list(root, notes);
    expect(pathsOf(entries, 'file')).toEqual([
      'pg_tblspc/16390/PG_15_202209061/5/16400',
      'pg_tblspc/16391/PG_15_202209061/5/16500',
    ]);
    expect(entries.filter(({ type }) => type === 'tablespace')).toMatchObject([
      { path: 'pg_tblspc/16390', oid: 16390, location: join(outside, 'space') },
    ]);
    expect(pathsOf(entries, 'directory')).toContain('pg_wal');
    expect(pathsOf(entries, 'directory')).toContain('pg_tblspc/16391');
    expect(notes.sort()).toEqual([
      'linked-directory is not in the backup: it is a symlink',
      'linked-file is not in the backup: it is a symlink',
    ]);
  });

  it('lists a tablespace inside the data directory once', () => {
    const root = newDirectory('list-');
    write(root, 'inside/PG_15_202209061/5/16400');
    mkdirSync(join(root, 'pg_tblspc'));
    symlinkSync(join(root, 'inside'), join(root, 'pg_tblspc/16390'));
    expect(pathsOf(list(root), 'file')).toEqual(['pg_tblspc/16390/PG_15_202209061/5/16400']);
  });

  it('says what it leaves out', () => {
    const root = newDirectory('list-');
    execFileSync('mkfifo', [join(root, 'pipe')]);
    const bytes = Buffer.concat([Buffer.from(`${root}/bad-`), Buffer.from([0xff])]);
    writeFileSync(bytes, 'x');
    const notes: string[] = [];
    expect(pathsOf(list(root, notes), 'file')).toEqual([]);
    expect(notes.sort().map((note) => note.slice(note.indexOf(' is not')))).toEqual([
      ' is not in the backup: its name is not UTF-8',
      ' is not in the backup: it is a special file',
    ]);
  });

  it('goes on when files vanish under it', () => {
    const root = newDirectory('list-');
    for (let number = 0; number < 400; number += 1) write(root, `base/${number}/1`);
    const seen: string[] = [];
    const note = (): void => undefined;
    for (const entry of listDataDirectory({ dataDirectory: root, majorVersion: 15, note })) {
      if (seen.length === 20) execFileSync('rm', ['-r', join(root, 'base')]);
      seen.push(entry.path);
    }
    expect(seen.length).toBeLessThan(800);
  });

  it('refuses a directory that is not there', () => {
    expect(() => list('/nowhere/at/all')).toThrow(expect.objectContaining({ code: 'LOCAL_IO' }));
  });
});

describe('cutting a backup into tasks', () => {
  const survey = (dataDirectory: string, control = createPackControl()): SurveyInput => ({
    dataDirectory,
    majorVersion: 15,
    plan: join(newDirectory('staged-'), 'files'),
    control: control.buffer,
  });

  it('puts big files first and bundles all others, each file once', () => {
    const root = newDirectory('plan-');
    for (let number = 0; number < 600; number += 1) write(root, `base/5/${16384 + number}`);
    write(root, 'base/5/1', Buffer.alloc(17 * 1024 * 1024));
    write(root, 'base/5/2', Buffer.alloc(20 * 1024 * 1024));
    const input = survey(root);
    const found = surveyDataDirectory(input);
    expect(found.totalBytes).toBe(37 * 1024 * 1024 + 600 * 'base/5/16384'.length);
    const tasks = [...planTasks(found, input)].map((task) => membersOf(task).map(({ path }) => path));
    expect(tasks.slice(0, 2)).toEqual([['base/5/2'], ['base/5/1']]);
    expect(tasks.slice(2).map(({ length }) => length)).toEqual([256, 256, 88]);
    const all = tasks.flat();
    expect(new Set(all).size).toBe(602);
    expect(all.length).toBe(602);
  });

  it('closes a bundle when it has grown to some 16 MiB', () => {
    const root = newDirectory('plan-');
    for (let number = 0; number < 5; number += 1) write(root, `base/5/${number}`, Buffer.alloc(9 * 1024 * 1024));
    expect(surveyDataDirectory(survey(root)).bundles).toHaveLength(3);
  });

  it('finds every file of a bundle where it stands', () => {
    const root = newDirectory('plan-');
    write(root, 'base/5/ä "1"');
    const input = survey(root);
    const [task] = planTasks(surveyDataDirectory(input), input);
    const path = 'base/5/ä "1"';
    expect(membersOf(task!)).toEqual([{ type: 'file', path, source: `${root}/${path}` }]);
  });

  it('says so when the list of files was cut off', () => {
    const root = newDirectory('plan-');
    write(root, 'PG_VERSION');
    const input = survey(root);
    const [task] = planTasks(surveyDataDirectory(input), input);
    writeFileSync(input.plan, '[');
    expect(() => membersOf(task!)).toThrow(expect.objectContaining({ code: 'LOCAL_IO' }));
  });

  it('stops when it is asked to', () => {
    const root = newDirectory('plan-');
    write(root, 'PG_VERSION');
    const control = createPackControl();
    Atomics.store(control, STOP, 1n);
    expect(() => surveyDataDirectory(survey(root, control))).toThrow(expect.objectContaining({ code: 'INTERRUPTED' }));
  });
});
