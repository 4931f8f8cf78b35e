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

/**
 * The command settings that go through the service. The shell that PostgreSQL starts reads the script itself: called as a
 * program, it would need a second start of a shell, which takes longer than all that it does.
 */

/** A script that is missing ends the shell with a status that PostgreSQL takes for "not archived". */
export function archiveCommand(scriptConfigPath: string): string {
  return `set -- ${commandWord(scriptConfigPath)} %p; . ${commandWord(scriptPath('walden-push'))}`;
}

/**
 * Here that status would mean "not in the archive", and recovery would end early: so whatever ends the shell before the
 * script has set a trap of its own (it is missing, torn, or cannot be opened) ends it with one that stops recovery.
 */
export function restoreCommand(scriptConfigPath: string): string {
  return `trap "exit 200" EXIT; set -- ${commandWord(scriptConfigPath)} %f %p; . ${commandWord(scriptPath('walden-fetch'))}`;
}

/**
 * restore_command straight from a repository, for the day when there is no service.
 * @param source options of the command that say which repository, and hold no secrets
 */
export function offlineRestoreCommand(source: readonly string[], cluster: string): string {
  const words = [process.execPath, scriptPath('walden'), 'wal', 'fetch', ...source, cluster];
  return `${words.map(commandWord).join(' ')} %f %p`;
}
