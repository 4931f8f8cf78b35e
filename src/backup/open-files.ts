import type { LocalBackupSource } from '../config/config.ts';
import { openSession } from '../postgres/session.ts';
import type { BackupDeps, BackupRequest } from './backup-deps.ts';
import type { OpenedSource } from './backup-source.ts';
import { copyFiles } from './copy-files.ts';
import { checkServer } from './preflight.ts';

/** The files of a server on this host, read between the start and the stop of backup mode in one session. @throws SERVER_* */
export async function openFiles(
  { log }: Pick<BackupDeps, 'log'>,
  { cluster, identity }: Pick<BackupRequest, 'cluster' | 'identity'>,
  { conninfo, dataDirectory }: LocalBackupSource,
): Promise<OpenedSource> {
  const session = await openSession(conninfo);
  try {
    const walComesBy = cluster.receive === undefined ? 'archiving' : 'receiving';
    const server = await checkServer(session, { identity, dataDirectory, walComesBy }, (message) => {
      log.warn({ cluster: cluster.name }, message);
    });
    return {
      parent: undefined,
      copy: (context) => copyFiles(context, { session, server, dataDirectory }),
      close: () => session.close(),
    };
  } catch (error) {
    await session.close();
    throw error;
  }
}
