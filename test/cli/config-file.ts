import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface CliPlace {
  readonly socket: string;
  /** The configuration file. */
  readonly config: string;
}

/** Writes the configuration of one cluster, `main`, with everything it names inside `directory`. */
export function writeConfig(directory: string): CliPlace {
  const socket = join(directory, 'walden.sock');
  const config = join(directory, 'walden.toml');
  mkdirSync(join(directory, 'data/pg_wal'), { recursive: true });
  writeFileSync(
    config,
    `[service]
state_directory = "${directory}/state"
socket = "${socket}"
[repository.local]
driver = "local"
path = "${directory}/repository"
[cluster.main]
data_directory = "${directory}/data"
conninfo = "host=/tmp"
repositories = ["local"]
wal_fetch_timeout = 20
`,
  );
  return { socket, config };
}
