import { describe, expect, it } from 'vitest';
import type { ClusterName, RepositoryName } from '../../../catalog/catalog.ts';
import { retentionOf } from '../../../src/config/config.ts';
import { parseConfig } from '../../../src/config/load-config.ts';

const BASE = `[service]
state_directory = "/var/lib/walden"
socket = "/run/walden/walden.sock"

[repository.near]
driver = "local"
path = "/var/lib/walden/near"

[repository.far]
driver = "local"
path = "/mnt/far"

[cluster.main]
data_directory = "/var/lib/postgresql/17/main"
conninfo = "host=/var/run/postgresql user=postgres"
repositories = ["near", "far"]
`;
const MAIN = 'main' as ClusterName;
const [NEAR, FAR] = ['near', 'far'] as [RepositoryName, RepositoryName];
const DAY = 86_400;

function sections(...texts: readonly string[]): string {
  return texts.reduce((text, lines, index) => `${text}\n[retention.s${index}]\ncluster = "main"\n${lines}\n`, BASE);
}

describe('[retention.NAME]', () => {
  it('holds for the repositories that it names, and else for those that no other one names', () => {
    const config = parseConfig(
      sections('recovery_window = "14 days"\nwal_window = "2 weeks"', 'repositories = ["far"]\nkeep_weekly = 8'),
      'x',
    );
    expect(retentionOf(config, MAIN, NEAR)?.policy).toMatchObject({
      recoveryWindowSeconds: 14 * DAY,
      walWindowSeconds: 14 * DAY,
    });
    expect(retentionOf(config, MAIN, FAR)?.policy).toMatchObject({ recoveryWindowSeconds: undefined, keepWeekly: 8 });
    expect(retentionOf(parseConfig(BASE, 'x'), MAIN, NEAR)).toBeUndefined();
  });

  it.each([
    [
      'two that hold for the same repository',
      sections('keep_daily = 1', 'keep_daily = 2'),
      '[retention.s0] holds for near, far',
    ],
    [
      'two that name one',
      sections('repositories = ["far"]\nkeep_daily = 1', 'repositories = ["near", "far"]\nkeep_daily = 2'),
      'holds for far of cluster main too',
    ],
    ['one that keeps nothing', sections('wal_window = "7 days"'), 'keeps nothing'],
    [
      'a WAL window that breaks the other one',
      sections('recovery_window = "8 days"\nwal_window = "7 days"'),
      'is shorter than recovery_window',
    ],
    [
      'a cluster that is not there',
      `${BASE}[retention.x]\ncluster = "mani"\nkeep_daily = 1\n`,
      'there is no section [cluster.mani]',
    ],
    [
      'a repository that is not its own',
      sections('repositories = ["fra"]\nkeep_daily = 1'),
      'is not among the repositories',
    ],
    ['a window without a unit', sections('recovery_window = "14"'), 'must be like "14 days"'],
    ['half an hour', sections('recovery_window = "30min"'), 'must be like "14 days"'],
    ['no backups at all', sections('minimum_backups = 0'), 'must be between 1 and'],
  ])('refuses %s', (_, text, words) => {
    expect(() => parseConfig(text, 'x')).toThrow(words);
  });
});
