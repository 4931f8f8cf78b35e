import { describe, expect, it } from 'vitest';
import {
  judgeDirectory,
  judgeFile,
  parseRelationFile,
  relationFileAt,
  walSubdirectories,
} from '../../../src/backup/exclusions.ts';

const noInitForks = new Set<string>();

describe('the choice of what belongs into a backup', () => {
  it.each([
    'PG_VERSION',
    'postgresql.conf',
    'postgresql.auto.conf',
    'pg_hba.conf',
    'log/postgresql.log',
    'base/5/16384',
    'base/5/16384.1',
    'base/5/16384_fsm',
    'base/5/PG_VERSION',
    'base/5/pg_filenode.map',
    'global/1262',
    'global/pg_filenode.map',
    'pg_xact/0000',
    'pg_tblspc/16400/PG_15_202209061/5/16401',
    'other/t5_16384',
    'other/backup_label_notes',
  ])('keeps %s', (path) => {
    expect(judgeFile(path, noInitForks)).toBe('keep');
  });

  it.each([
    'postmaster.pid',
    'postmaster.opts',
    'backup_label',
    'backup_label.old',
    'tablespace_map',
    'tablespace_map.old',
    'backup_manifest',
    'backup_manifest.tmp',
    'recovery.signal',
    'standby.signal',
    'postgresql.auto.conf.tmp',
    'current_logfiles.tmp',
    'global/pg_control',
    'global/pg_internal.init',
    'base/5/pg_internal.init',
    'base/5/pg_internal.init.4711',
    'base/5/t3_16384',
    'base/5/t3_16384_fsm',
    'base/5/t3_16384.2',
    'pg_tblspc/16400/PG_15_202209061/5/t10_99',
    'base/5/pgsql_tmp123.0',
  ])('leaves out %s', (path) => {
    expect(judgeFile(path, noInitForks)).toBe('skip');
  });

  it('keeps only the init fork of an unlogged relation', () => {
    const unlogged = new Set(['16384']);
    for (const name of ['16384', '16384.1', '16384_fsm', '16384_vm']) {
      expect(judgeFile(`base/5/${name}`, unlogged)).toBe('skip');
    }
    expect(judgeFile('base/5/16384_init', unlogged)).toBe('keep');
    expect(judgeFile('base/5/16385', unlogged)).toBe('keep');
  });

  it('keeps some directories without their content, at the top only', () => {
    for (const name of ['pg_wal', 'pg_replslot', 'pg_dynshmem', 'pg_notify', 'pg_serial', 'pg_snapshots']) {
      expect(judgeDirectory(name)).toBe('keep-empty');
    }
    expect(judgeDirectory('pg_stat_tmp')).toBe('keep-empty');
    expect(judgeDirectory('pg_subtrans')).toBe('keep-empty');
    expect(judgeDirectory('mine/pg_notify')).toBe('keep');
    expect(judgeDirectory('base/pgsql_tmp')).toBe('skip');
    expect(judgeDirectory('pg_tblspc/16400/PG_15_202209061/pgsql_tmp')).toBe('skip');
    expect(judgeDirectory('base/5')).toBe('keep');
  });

  it('makes the directories inside pg_wal that the version expects', () => {
    expect(walSubdirectories(16)).toEqual(['pg_wal/archive_status']);
    expect(walSubdirectories(17)).toEqual(['pg_wal/archive_status', 'pg_wal/summaries']);
  });
});

describe('names of relation files', () => {
  it('tell relation, fork and segment', () => {
    expect(parseRelationFile('16384')).toEqual({ number: '16384', fork: 'main', segment: 0 });
    expect(parseRelationFile('16384_vm.12')).toEqual({ number: '16384', fork: 'vm', segment: 12 });
    expect(parseRelationFile('pg_filenode.map')).toBeUndefined();
    expect(parseRelationFile('16384x')).toBeUndefined();
  });

  it('count only where relations stand', () => {
    expect(relationFileAt('base/5/16384.3')?.segment).toBe(3);
    expect(relationFileAt('global/1260')?.fork).toBe('main');
    expect(relationFileAt('pg_xact/0000')).toBeUndefined();
    expect(relationFileAt('base/16384')).toBeUndefined();
  });
});
