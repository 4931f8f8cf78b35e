import { describe, expect, it } from 'vitest';
import { restoreRequest, type TargetOptions, targetRequest } from '../../../src/cli/target-options.ts';

describe('the recovery target of a command line', () => {
  it.each<[string, TargetOptions, unknown]>([
    ['nothing', {}, { kind: 'latest' }],
    ['--latest', { latest: true }, { kind: 'latest' }],
    ['--time', { time: '10 minutes ago' }, { kind: 'time', value: '10 minutes ago' }],
    ['--lsn --exclusive', { lsn: '0/3000028', exclusive: true }, { kind: 'lsn', value: '0/3000028', exclusive: true }],
    ['--xid --timeline', { xid: '731', timeline: 2 }, { kind: 'xid', value: '731', timeline: 2 }],
    [
      '--name --backup',
      { name: 'p', backup: '20261122T021500F' },
      { kind: 'name', value: 'p', backup: '20261122T021500F' },
    ],
    ['--immediate', { immediate: true }, { kind: 'immediate' }],
  ])('takes %s as it was written', (_, options, expected) => {
    expect(targetRequest(options)).toEqual(expected);
  });

  it.each<[string, TargetOptions, string]>([
    ['two targets', { time: 'x', lsn: 'y' }, '--time and --lsn cannot stand together'],
    ['a target beside --latest', { name: 'x', latest: true }, '--name and --latest cannot stand together'],
    ['--exclusive without a target', { exclusive: true }, '--exclusive has no meaning with --latest'],
    ['--exclusive with a restore point', { name: 'x', exclusive: true }, '--exclusive has no meaning with --name'],
  ])('refuses %s', (_, options, message) => {
    expect(() => targetRequest(options)).toThrow(message);
  });
});

describe('the request for a restore', () => {
  it('makes paths absolute, from where the command was typed', () => {
    const options = { tablespaceMap: ['/a=b', '/c\\=d=/e'], workers: 2, takeOver: true } as const;
    expect(restoreRequest(options, 'new', '/srv/here')).toEqual({
      target: { kind: 'latest' },
      to: '/srv/here/new',
      tablespaceMap: { '/a': '/srv/here/b', '/c=d': '/e' },
      takeOver: true,
      workers: 2,
    });
  });

  it.each<[string, TargetOptions, string]>([
    ['an action without a target', { action: 'pause' }, '--action has no meaning without a target'],
    ['a standby with a target', { standby: true, time: 'x' }, '--standby cannot stand beside --time'],
    ['a tablespace map without a new place', { tablespaceMap: ['/a'] }, '--tablespace-map "/a" is not OLD=NEW'],
    ['a tablespace map with three places', { tablespaceMap: ['/a=/b=/c'] }, 'is not OLD=NEW'],
    ['a tablespace that is mapped twice', { tablespaceMap: ['/a=/b', '/a=/c'] }, 'names /a twice'],
  ])('refuses %s', (_, options, message) => {
    expect(() => restoreRequest(options, '/new', '/')).toThrow(message);
  });
});
