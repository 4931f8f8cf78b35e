import { spawn } from 'node:child_process';
import { installedTool } from '../test/support/postgres-binaries.ts';
import type { TestServer } from '../test/support/postgres-server.ts';
import { watchProcess } from '../test/support/sandbox.ts';
import { until, within } from '../test/support/until.ts';

/** PostgreSQL's own receiver; undefined where it is not installed. */
export const pgReceivewal = installedTool(15, 'pg_receivewal');

export const PEER_SLOT = 'peer';
const STOP_DEADLINE_MS = 60_000;

export interface RunningReceivewal {
  readonly pid: number;
  /** @throws Error when it had ended before, or does not end in time */
  stop(): Promise<void>;
}

/** Receives into a directory, from where its slot begins; it calls itself like the slot. */
export function startReceivewal(
  server: TestServer,
  { directory, words = [] }: { readonly directory: string; readonly words?: readonly string[] },
): RunningReceivewal {
  const conninfo = `${server.conninfo} application_name=${PEER_SLOT}`;
  const fixed = ['-D', directory, '-d', conninfo, '--slot', PEER_SLOT, '--no-loop'];
  const child = spawn(pgReceivewal ?? '', [...fixed, ...words], { stdio: ['ignore', 'ignore', 'pipe'] });
  if (child.pid === undefined) throw new Error('pg_receivewal did not start');
  const forget = watchProcess(child.pid);
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  let stopping = false;
  const ended = new Promise<void>((resolve, reject) => {
    child.once('exit', (status, signal) => {
      forget();
      if (stopping) resolve();
      else reject(new Error(`pg_receivewal ended with ${status ?? signal ?? 'nothing'}\n${said}`));
    });
  });
  // Whoever stops it hears of it.
  ended.catch(() => undefined);
  return {
    pid: child.pid,
    async stop() {
      stopping = true;
      child.kill('SIGINT');
      await within(ended, STOP_DEADLINE_MS, 'the end of pg_receivewal');
    },
  };
}

/** Waits until nobody uses it any more. */
export async function dropSlot(server: TestServer, slot: string): Promise<void> {
  const free = 'select count(*) from pg_replication_slots where slot_name = $1 and not active';
  await until(async () => (await server.value(free, [slot])) === '1', { what: `the slot ${slot} to be free` });
  await server.query('select pg_drop_replication_slot($1)', [slot]);
}
