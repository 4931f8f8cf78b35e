/** Whose an archive_command or a restore_command is. `nobody`: it is empty, or throws WAL away. */
export type CommandOwner = 'nobody' | 'this cluster' | 'somebody else';

/** What people write to have archive_mode = on before there is an archive. */
const PLACEHOLDER = /^\s*(?:|:|true|(?:\/usr)?\/bin\/true|exit 0|cd \.|rem)\s*$/i;

/**
 * Walden's own commands name a script of `bin/` and the cluster's script.conf, or are `walden wal fetch … CLUSTER %f %p`
 * (src/config/command-line.ts). Those of another cluster are somebody else's.
 */
export function commandOwner(command: string, cluster: string): CommandOwner {
  if (PLACEHOLDER.test(command)) return 'nobody';
  const byScript = /\bwalden-(?:push|fetch)\b/.test(command) && command.includes(`/${cluster}/script.conf`);
  const byProgram = /\bwal (?:push|fetch) /.test(command) && new RegExp(`\\s${cluster} %[fp]`).test(command);
  return byScript || byProgram ? 'this cluster' : 'somebody else';
}
