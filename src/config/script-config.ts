import { fileURLToPath } from 'node:url';
import type { ClusterConfig } from './config.ts';

/**
 * The shell variables that bin/walden-push and bin/walden-fetch read for one cluster, with the two settings to paste
 * into postgresql.conf. `path` is where the text will stand.
 */
export function scriptConfig(cluster: ClusterConfig, socket: string, path: string): string {
  const archive = `${commandWord(scriptPath('walden-push'))} ${commandWord(path)} %p`;
  const restore = `${commandWord(scriptPath('walden-fetch'))} ${commandWord(path)} %f %p`;
  const variables: readonly (readonly [string, string])[] = [
    ['walden_cluster', cluster.name],
    ['walden_socket', socket],
    ['walden_spool', cluster.spoolDirectory],
    ['walden_data', cluster.dataDirectory],
    ['walden_push_timeout', cluster.walPushTimeoutSeconds.toString()],
    ['walden_fetch_timeout', cluster.walFetchTimeoutSeconds.toString()],
  ];
  return [
    `# Cluster ${cluster.name}, for walden-push and walden-fetch. Written by Walden: change walden.toml instead.`,
    '#',
    '# In postgresql.conf of the primary and its standbys:',
    "#   archive_mode = 'on'",
    `#   archive_command = ${settingText(archive)}`,
    `#   restore_command = ${settingText(restore)}`,
    ...variables.map(([name, value]) => `${name}=${shellQuoted(value)}`),
    '',
  ].join('\n');
}

/** Any text as one word of a POSIX shell. */
export function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** A word of a command setting: quoted only where needed, `%` doubled since it begins PostgreSQL's placeholders. */
function commandWord(text: string): string {
  const word = /^[\w@+:,./-]+$/.test(text) ? text : shellQuoted(text);
  return word.replaceAll('%', '%%');
}

/** A value in postgresql.conf: quotes and backslashes doubled (guc-file.l). */
function settingText(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;
}

function scriptPath(name: 'walden-push' | 'walden-fetch'): string {
  return fileURLToPath(new URL(`../../../bin/${name}`, import.meta.url));
}
