import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../../src/config/load-config.ts';
import { isBelow } from '../../../src/setup/init/is-below.ts';
import { configText, initPlaces } from '../../../src/setup/init/places.ts';
import { unitText } from '../../../src/setup/init/unit-text.ts';

const PACKAGED = readFileSync(join(process.cwd(), 'packaging/walden.service'), 'utf8');

describe('the configuration that init writes', () => {
  it('has everything where packages have it, or else beside the file', () => {
    expect(initPlaces('/etc/walden/walden.toml', undefined)).toMatchObject({
      ...{ stateDirectory: '/var/lib/walden', socket: '/run/walden/walden.sock' },
      repository: '/var/lib/walden/repository',
    });
    expect(initPlaces('/srv/w/walden.toml', '/mnt/backup')).toMatchObject({
      ...{ stateDirectory: '/srv/w/state', socket: '/srv/w/state/walden.sock', repository: '/mnt/backup' },
    });
  });

  it('is read back as it was meant, whatever stands in its paths', () => {
    const path = fc
      .string({
        unit: fc.constantFrom('a', '.', ' ', '"', "'", '\\', '%', '$', '#', '\t', '\u0001', '\u007f', 'é', '🐘'),
        minLength: 1,
        maxLength: 30,
      })
      .filter((text) => !/[\0/\n\r]/.test(text) && !/^\.\.?$/.test(text));
    fc.assert(
      fc.property(path, path, (one, other) => {
        const places = initPlaces('/etc/walden/walden.toml', `/mnt/${one}`);
        const cluster = { name: 'main', dataDirectory: `/srv/${other}`, conninfo: `host='/run/${other}'` };
        const config = parseConfig(configText(places, cluster), 'x');
        expect([...config.repositories.values()]).toMatchObject([{ path: `/mnt/${one}` }]);
        expect([...config.clusters.values()]).toMatchObject([
          { dataDirectory: `/srv/${other}`, conninfo: `host='/run/${other}'` },
        ]);
      }),
      { numRuns: 20 },
    );
  });
});

describe('the systemd unit that init writes', () => {
  const unit = (directories: readonly string[]): string =>
    unitText(PACKAGED, {
      ...{ user: 'pg', group: 'pggroup', directories },
      command: ['/usr/bin/node', '/opt/my walden/bin/walden', 'service', '--config', '/etc/100%/$x.toml'],
    });

  it('is the packaged one with its user, group and command', () => {
    const changed = unit(['/var/lib/walden'])
      .split('\n')
      .filter((line, index) => line !== PACKAGED.split('\n')[index]);
    expect(changed).toEqual([
      'User=pg',
      'Group=pggroup',
      'ExecStart=/usr/bin/node "/opt/my walden/bin/walden" service --config /etc/100%%/$$x.toml',
    ]);
  });

  it('leaves homes writable when something of it lies there', () => {
    expect(unit(['/home/repository'])).toContain('\nProtectHome=no\n');
    expect(unit(['/homes'])).toContain('\nProtectHome=read-only\n');
  });
});

describe('a path below a directory', () => {
  it.each([
    ['/a/b', '/a', true],
    ['/a', '/a', true],
    ['/ab', '/a', false],
    ['/a/..b', '/a', true],
    ['/', '/a', false],
  ])('%s, %s: %s', (path, directory, expected) => {
    expect(isBelow(path, directory)).toBe(expected);
  });
});
