import { fileURLToPath } from 'node:url';

/** Words for the command settings of PostgreSQL, which a shell reads after `%f` and `%p` were put in. */

/** Path of a program in `bin/`, beside the compiled code. */
export function scriptPath(name: 'walden' | 'walden-push' | 'walden-fetch'): string {
  return fileURLToPath(new URL(`../../../bin/${name}`, import.meta.url));
}

/** Any text as one word of a POSIX shell. */
export function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** A word of a command setting: quoted only where needed, `%` doubled since it begins PostgreSQL's placeholders. */
export function commandWord(text: string): string {
  const word = /^[\w@+:,./-]+$/.test(text) ? text : shellQuoted(text);
  return word.replaceAll('%', '%%');
}

/** restore_command through the service, by the script: no interpreter on its fast path. */
export function restoreCommand(scriptConfigPath: string): string {
  return `${commandWord(scriptPath('walden-fetch'))} ${commandWord(scriptConfigPath)} %f %p`;
}

/**
 * archive_command through the service. The shell that PostgreSQL starts reads the script itself: called as a program, it
 * would need a second start of a shell, which takes longer than all that it does. A script that is missing ends the shell
 * with a status that PostgreSQL takes for "not archived". (For restore_command it would mean "not in the archive".)
 */
export function archiveCommand(scriptConfigPath: string): string {
  return `set -- ${commandWord(scriptConfigPath)} %p; . ${commandWord(scriptPath('walden-push'))}`;
}

/** restore_command straight from a repository, for the day when there is no service. */
export function offlineRestoreCommand(repositoryPath: string, cluster: string): string {
  const program = `${commandWord(process.execPath)} ${commandWord(scriptPath('walden'))}`;
  return `${program} wal fetch --repository-path ${commandWord(repositoryPath)} ${cluster} %f %p`;
}
