import { describe, expect, it } from 'vitest';
import { parseDrillCheck } from '../../../src/config/drill-check.ts';
import { parseConfig } from '../../../src/config/load-config.ts';

const LINES = [
  ...['[service]', 'state_directory = "/var/lib/walden"', 'socket = "/run/walden.sock"'],
  ...['[repository.local]', 'driver = "local"', 'path = "/var/lib/walden/repository"'],
  ...['[cluster.main]', 'data_directory = "/data"', 'conninfo = "host=/tmp"', 'repositories = ["local"]'],
  ...['pg_bin = "/opt/pg/bin"', 'drill_directory = "/srv/drills"', 'drill_checks = ["/a.sql", "shop=/b.sql"]'],
];

describe('the keys of drills', () => {
  it('say where they restore to, with which programs, and what they check', () => {
    const [cluster] = parseConfig(`${LINES.join('\n')}\n`, 'x').clusters.values();
    const checks = ['/a.sql', 'shop=/b.sql'];
    expect(cluster?.drill).toEqual({ pgBin: '/opt/pg/bin', directory: '/srv/drills', checks });
    expect(checks.map(parseDrillCheck)).toEqual([
      { database: undefined, file: '/a.sql' },
      { database: 'shop', file: '/b.sql' },
    ]);
    expect(parseDrillCheck('/odd=name.sql')).toEqual({ database: undefined, file: '/odd=name.sql' });
  });
});
