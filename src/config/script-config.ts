import { join } from 'node:path';
import { archiveCommand, restoreCommand, shellQuoted } from './command-line.ts';
import type { ClusterConfig } from './config.ts';

/** Where `walden-push` and `walden-fetch` find the variables of a cluster. The service writes it at every start. */
export function scriptConfigPath({ spoolDirectory }: Pick<ClusterConfig, 'spoolDirectory'>): string {
  return join(spoolDirectory, 'script.conf');
}

/**
 * The shell variables that bin/walden-push and bin/walden-fetch read for one cluster, with the two settings to paste
 * into postgresql.conf. `path` is where the text will stand.
 */
export function scriptConfig(cluster: ClusterConfig, socket: string, path: string): string {
  const variables: readonly (readonly [string, string])[] = [
    ['walden_cluster', cluster.name],
    ['walden_socket', socket],
    ['walden_spool', cluster.spoolDirectory],
    ['walden_data', cluster.dataDirectory ?? ''],
    ['walden_push_timeout', cluster.walPushTimeoutSeconds.toString()],
    ['walden_fetch_timeout', cluster.walFetchTimeoutSeconds.toString()],
  ];
  return [
    `# Cluster ${cluster.name}, for walden-push and walden-fetch. Written by Walden: change walden.toml instead.`,
    '#',
    '# In postgresql.conf of the primary and its standbys:',
    "#   archive_mode = 'on'",
    `#   archive_command = ${settingText(archiveCommand(path))}`,
    `#   restore_command = ${settingText(restoreCommand(path))}`,
    ...variables.map(([name, value]) => `${name}=${shellQuoted(value)}`),
    '',
  ].join('\n');
}

/** A value in postgresql.conf: quotes and backslashes doubled (guc-file.l). */
function settingText(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;
}
