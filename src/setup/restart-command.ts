import { execFile } from 'node:child_process';
import { readFile, readlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { shellQuoted } from '../config/command-line.ts';

const DEADLINE_MS = 5_000;

/** What tells who has started a server. */
export interface PostmasterFacts {
  readonly dataDirectory: string;
  /** postgresql.conf, where the role may see it. */
  readonly configFile: string | undefined;
  /** The systemd unit whose main process it is. */
  readonly unit: string | undefined;
  /** Directory of its program. */
  readonly programs: string | undefined;
}

/** How to restart it: with whatever has started it, which would otherwise take it for dead. */
export function restartCommand({ dataDirectory, configFile, unit, programs }: PostmasterFacts): string {
  if (unit !== undefined) return `systemctl restart ${shellWord(unit)}`;
  // Debian's packages keep the configuration of a cluster there, and pg_ctlcluster knows it by version and name.
  const [, version, name] = /^\/etc\/postgresql\/([\d.]+)\/([^/]+)\/postgresql\.conf$/.exec(configFile ?? '') ?? [];
  if (version !== undefined && name !== undefined) return `pg_ctlcluster ${version} ${shellWord(name)} restart`;
  const program = programs === undefined ? 'pg_ctl' : join(programs, 'pg_ctl');
  return `${shellWord(program)} -D ${shellWord(dataDirectory)} restart`;
}

/** Looks at the process. `pid`: the postmaster of this host. */
export async function postmasterFacts(
  pid: number,
  { dataDirectory, configFile }: Pick<PostmasterFacts, 'dataDirectory' | 'configFile'>,
): Promise<PostmasterFacts> {
  return { dataDirectory, configFile, unit: await unitOf(pid), programs: await programsOf(pid) };
}

/** Its control group names a unit; whether the unit is that of the server, and not of its surroundings, systemd says. */
async function unitOf(pid: number): Promise<string | undefined> {
  const groups = await readFile(`/proc/${pid}/cgroup`, 'utf8').catch(() => '');
  const unit = /\/([^/\n]+\.service)$/m.exec(groups)?.[1];
  if (unit === undefined) return undefined;
  try {
    const words = ['show', '--property=MainPID', '--value', '--', unit];
    const { stdout } = await promisify(execFile)('systemctl', words, { timeout: DEADLINE_MS });
    return Number(stdout.trim()) === pid ? unit : undefined;
  } catch {
    // No systemd here: then it is started in another way.
    return undefined;
  }
}

async function programsOf(pid: number): Promise<string | undefined> {
  // Readable for its own user only.
  return await readlink(`/proc/${pid}/exe`).then(dirname, () => undefined);
}

function shellWord(text: string): string {
  return /^[\w@+:,./-]+$/.test(text) ? text : shellQuoted(text);
}
