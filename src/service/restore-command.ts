import { fileURLToPath } from 'node:url';

/** A word of a POSIX shell's command line. */
function shellWord(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** `%` begins a placeholder in PostgreSQL's command settings. */
function literal(text: string): string {
  return shellWord(text).replaceAll('%', '%%');
}

/** Path of a script in `bin/`, beside the compiled program. */
export function scriptPath(name: 'walden' | 'walden-push' | 'walden-fetch'): string {
  return fileURLToPath(new URL(`../../../bin/${name}`, import.meta.url));
}

/** restore_command through the service, by the script: no interpreter on its fast path. */
export function restoreCommand(scriptConfigPath: string): string {
  return `${literal(scriptPath('walden-fetch'))} ${literal(scriptConfigPath)} %f %p`;
}

/** restore_command straight from a repository, for the day when there is no service. */
export function offlineRestoreCommand(repositoryPath: string, cluster: string): string {
  const program = `${literal(process.execPath)} ${literal(scriptPath('walden'))}`;
  return `${program} wal fetch --repository-path ${literal(repositoryPath)} ${cluster} %f %p`;
}
