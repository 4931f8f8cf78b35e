import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { percentile } from './report.ts';

/**
 * Asks for WAL files one by one as PostgreSQL's recovery does: by a shell in the data directory, with RECOVERYXLOG out of the
 * way before each call (RestoreArchivedFile, xlogarchive.c). A shell times it, whose forks are as cheap as PostgreSQL's.
 */
const SCRIPT = `
exec 3<> <(:)
while read -r name; do
  rm -f pg_wal/RECOVERYXLOG
  begin=$EPOCHREALTIME
  /bin/sh -c "\${0//%f/$name}" || exit
  echo "$begin $EPOCHREALTIME"
  [ "$1" = 0 ] || read -rt "$1" -u 3
done
rm -f pg_wal/RECOVERYXLOG
`;

export interface RecoveryCalls {
  readonly dataDirectory: string;
  readonly restoreCommand: string;
  readonly names: readonly string[];
  /** Between two calls, as replay takes. */
  readonly replaySeconds: number;
}

/** @throws Error when a call failed */
export async function recoveryCalls({
  dataDirectory,
  restoreCommand,
  names,
  replaySeconds,
}: RecoveryCalls): Promise<{ readonly seconds: number; readonly p50: number; readonly p99: number }> {
  const command = restoreCommand.replaceAll('%p', 'pg_wal/RECOVERYXLOG');
  const begin = performance.now();
  const shell = spawn('/bin/bash', ['-c', SCRIPT, command, String(replaySeconds)], { cwd: dataDirectory });
  shell.stdin.end(names.map((name) => `${name}\n`).join(''));
  const [output, trouble] = await Promise.all([text(shell.stdout), text(shell.stderr)]);
  const seconds = (performance.now() - begin) / 1000;
  const durations = output
    .trim()
    .split('\n')
    .map((line) => line.split(' ').map(Number))
    .map(([from = Number.NaN, to = Number.NaN]) => (to - from) * 1000);
  if (durations.length !== names.length) throw new Error(`${durations.length} of ${names.length} calls: ${trouble}`);
  return { seconds, p50: percentile(durations, 50), p99: percentile(durations, 99) };
}
