import { describe, expect, it } from 'vitest';
import type { ClusterConfig } from '../../../src/config/config.ts';
import { parseConfig } from '../../../src/config/load-config.ts';
import { isWaldenError } from '../../../src/errors.ts';

const HEAD = `[service]
state_directory = "/var/lib/walden/state"
socket = "/run/walden/walden.sock"

[repository.local]
driver = "local"
path = "/var/lib/walden/repository"

[cluster.main]
repositories = ["local"]
`;
const DISTANT = ['backup_source = "stream"', 'receive = true', 'replication_conninfo = "host=db1 user=walden"'];

function cluster(lines: readonly string[]): ClusterConfig {
  return [...parseConfig(`${HEAD}${lines.join('\n')}\n`, 'x').clusters.values()][0]!;
}

function refusal(lines: readonly string[]): string {
  try {
    cluster(lines);
  } catch (error) {
    if (isWaldenError(error, 'CONFIG_INVALID')) return error.message;
    throw error;
  }
  throw new Error('it was not refused');
}

describe('a cluster that is backed up over the protocol', () => {
  it('needs no data directory and no other connection where its WAL is received', () => {
    const { dataDirectory, backup, receive } = cluster(DISTANT);
    expect(dataDirectory).toBeUndefined();
    expect(backup).toEqual({
      ...{ source: 'stream', conninfo: 'host=db1 user=walden', compression: 'auto', maxRateBytes: undefined },
    });
    expect(receive?.conninfo).toBe('host=db1 user=walden');
  });

  it('takes what it is told of compression and rate', () => {
    const { backup } = cluster([...DISTANT, 'stream_compression = "zstd"', 'stream_max_rate = 50']);
    expect(backup).toMatchObject({ compression: 'zstd', maxRateBytes: 50_000_000 });
  });

  it('falls back on conninfo', () => {
    const lines = ['data_directory = "/data"', 'conninfo = "host=/run/postgresql"', 'backup_source = "stream"'];
    expect(cluster(lines)).toMatchObject({ dataDirectory: '/data', backup: { conninfo: 'host=/run/postgresql' } });
  });

  it.each([
    [DISTANT.slice(0, 1), 'cluster.main.data_directory: is missing: without it WAL can only be received'],
    [DISTANT.slice(0, 2), 'cluster.main.conninfo: is missing'],
    [DISTANT.slice(1), 'cluster.main.data_directory: is missing'],
    [['data_directory = "/data"'], 'cluster.main.conninfo: is missing'],
    [
      ['data_directory = "/data"', 'conninfo = "host=/run"', 'stream_max_rate = 50'],
      'cluster.main.stream_max_rate: means nothing here: it needs backup_source = "stream"',
    ],
    [[...DISTANT, 'stream_compression = "gzip"'], 'is not one of'],
    [[...DISTANT, 'stream_max_rate = 0'], 'must be between 1 and 1000'],
  ])('is refused where something is missing or means nothing: %j', (lines, message) => {
    expect(refusal(lines)).toContain(message);
  });
});
