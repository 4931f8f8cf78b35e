import { execFile } from 'node:child_process';
import { chown, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { localIoError, systemErrorCode, WaldenError } from '../../errors.ts';
import { makeDirectories, syncDirectory, syncFile } from '../../platform/files.ts';
import { AS_ROOT, type ServerOwner } from './owner.ts';

const SYSTEMCTL_DEADLINE_MS = 330_000;
export const UNIT_NAME = 'walden.service';
export const UNIT_PATH = `/etc/systemd/system/${UNIT_NAME}`;
const PACKAGED_UNIT = new URL('../../../../packaging/walden.service', import.meta.url);

/** Whole or not at all. The group of PostgreSQL may read it, since the service and its operators do. @throws LOCAL_IO */
export async function writeOwnFile(path: string, text: string, owner: ServerOwner): Promise<void> {
  try {
    await makeDirectories(dirname(path), 0o755);
    const staged = `${path}.new`;
    await writeFile(staged, text, { mode: 0o640 });
    if (owner.isRoot) await chown(staged, 0, owner.gid);
    await syncFile(staged);
    await rename(staged, path);
    await syncDirectory(dirname(path));
  } catch (error) {
    throw localIoError(error, `unable to write ${path}`, { hint: AS_ROOT });
  }
}

export async function packagedUnit(): Promise<string> {
  return await readFile(PACKAGED_UNIT, 'utf8');
}

/** What stands in a file; undefined: there is none. @throws LOCAL_IO */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw localIoError(error, `unable to read ${path}`);
  }
}

/** As sd_booted(3) finds it out. */
export async function systemdRuns(): Promise<boolean> {
  return await stat('/run/systemd/system').then(
    (found) => found.isDirectory(),
    () => false,
  );
}

/** Has systemd start the service now and at every boot; the unit says when it is ready. @throws SERVICE_UNREACHABLE */
export async function enableUnit(): Promise<void> {
  for (const words of [['daemon-reload'], ['enable', '--now', UNIT_NAME]]) {
    try {
      await promisify(execFile)('systemctl', words, { timeout: SYSTEMCTL_DEADLINE_MS });
    } catch (cause) {
      throw new WaldenError('SERVICE_UNREACHABLE', `systemctl ${words.join(' ')} failed`, {
        hint: `see why: systemctl status ${UNIT_NAME}; journalctl -u ${UNIT_NAME}`,
        cause,
      });
    }
  }
}
