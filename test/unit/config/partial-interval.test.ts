import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../../src/config/load-config.ts';

const SMALLEST = `[service]
state_directory = "/var/lib/walden"
socket = "/run/walden/walden.sock"

[repository.local]
driver = "local"
path = "/var/lib/walden/repository"

[cluster.main]
data_directory = "/var/lib/postgresql/17/main"
conninfo = "host=/var/run/postgresql user=postgres"
repositories = ["local"]
`;

describe('partial_interval', () => {
  it.each([
    ['5s', 5],
    ['5 s', 5],
    ['2min', 120],
    ['1h', 3600],
    ['0s', undefined],
    ['2h', undefined],
    ['500ms', undefined],
    ['5', undefined],
    ['1.5min', undefined],
  ] as const)('%s', (words, seconds) => {
    const text = `${SMALLEST}receive = true\npartial_interval = "${words}"\n`;
    if (seconds === undefined) expect(() => parseConfig(text, 'x')).toThrow('partial_interval: must be like "5s"');
    else expect([...parseConfig(text, 'x').clusters.values()][0]?.receive?.partialIntervalSeconds).toBe(seconds);
  });

  it('is refused where nothing is received', () => {
    expect(() => parseConfig(`${SMALLEST}partial_interval = "5s"\n`, 'x')).toThrow('it needs receive = true');
  });
});
