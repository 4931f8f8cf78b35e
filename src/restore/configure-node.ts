import { readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { systemErrorCode } from '../errors.ts';
import { syncDirectory } from '../platform/files.ts';
import { dangerousSettings } from './dangerous-settings.ts';
import { recoveryConfiguration, type RecoveryPlan, SIGNAL_FILES, signalFile } from './recovery-configuration.ts';
import { asLocalError, type Owner, writeDurably } from './target-directory.ts';

const AUTO_CONF = 'postgresql.auto.conf';

/**
 * Writes the recovery settings and the signal file, durably. The data directory must not be startable yet.
 * @returns warnings for the operator.
 * @throws LOCAL_IO
 */
export async function configureNode(
  dataDirectory: string,
  owner: Owner | undefined,
  plan: RecoveryPlan,
): Promise<readonly string[]> {
  try {
    const autoConf = recoveryConfiguration((await readText(join(dataDirectory, AUTO_CONF))) ?? '', asBytes(plan));
    const staged = join(dataDirectory, `${AUTO_CONF}.walden`);
    await writeDurably(staged, Buffer.from(autoConf, 'latin1'), owner);
    await rename(staged, join(dataDirectory, AUTO_CONF));
    // The backup may be one of a standby, or of a node that was restored itself.
    for (const name of SIGNAL_FILES) await rm(join(dataDirectory, name), { force: true });
    await writeDurably(join(dataDirectory, signalFile(plan)), '', owner);
    await syncDirectory(dataDirectory);
    const postgresqlConf = await readText(join(dataDirectory, 'postgresql.conf'));
    return dangerousSettings({ dataDirectory, majorVersion: plan.majorVersion, postgresqlConf, autoConf });
  } catch (error) {
    throw asLocalError(error, `unable to write the recovery settings in ${dataDirectory}`);
  }
}

/** The old text may be in any encoding: it is carried byte by byte, and what is added is UTF-8. */
function asBytes(plan: RecoveryPlan): RecoveryPlan {
  const bytes = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');
  const { target, follows } = plan;
  return {
    ...plan,
    restoreCommand: bytes(plan.restoreCommand),
    follows: follows && { ...follows, conninfo: bytes(follows.conninfo) },
    target: target.kind === 'name' ? { ...target, name: bytes(target.name) } : target,
  };
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'latin1');
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
