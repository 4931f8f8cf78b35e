import { describe, expect, it } from 'vitest';
import { offlineRestoreCommand, restoreCommand } from '../../../../src/config/command-line.ts';
import { restoreSource } from '../../../../src/service/nodes/restore-source.ts';

const OWN = "/var/spool/it's 100%/script.conf";

describe('restoreSource', () => {
  it('tells walden-fetch of this service from that of another one, and from one of another host', () => {
    expect(restoreSource(restoreCommand(OWN), OWN)).toEqual({ kind: 'service', name: null });
    expect(restoreSource(restoreCommand(OWN), undefined)).toEqual({ kind: 'service', name: OWN });
    expect(restoreSource(restoreCommand('/srv/script.conf'), OWN)).toEqual({
      kind: 'service',
      name: '/srv/script.conf',
    });
    expect(restoreSource(`/opt/walden/bin/walden-fetch /srv/script.conf %f "%p"`, OWN)).toEqual({
      ...{ kind: 'service', name: '/srv/script.conf' },
    });
  });

  it('names the repository of a command without a service', () => {
    const path = offlineRestoreCommand(['--repository-path', '/mnt/my repository', '--key-file', '/k'], 'main');
    expect(restoreSource(path, OWN)).toEqual({ kind: 'repository', name: '/mnt/my repository' });
    const named = offlineRestoreCommand(['--config', '/etc/walden.toml', '--repository', 'offsite'], 'main');
    expect(restoreSource(named, OWN)).toEqual({ kind: 'repository', name: 'offsite' });
  });

  it.each([
    ['', { kind: 'none', name: null }],
    ['  ', { kind: 'none', name: null }],
    ['cp /mnt/archive/%f %p', { kind: 'other', name: 'cp' }],
    ['TOKEN=sesame OTHER="a b" /opt/tool --key sesame %f', { kind: 'other', name: '/opt/tool' }],
    ['TOKEN=sesame', { kind: 'other', name: null }],
    ['echo wal fetch', { kind: 'other', name: 'echo' }],
  ])('shows of another command no more than its program: %s', (command, source) => {
    expect(restoreSource(command, OWN)).toEqual(source);
  });
});
