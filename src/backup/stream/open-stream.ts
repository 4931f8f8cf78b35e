import type { StreamBackupSource } from '../../config/config.ts';
import { parseHostList } from '../../postgres/conninfo.ts';
import { canCompress } from '../../postgres/replication/base-backup-command.ts';
import type { ReplicationConnection } from '../../postgres/replication/connection.ts';
import { onFirstServer } from '../../postgres/replication/first-server.ts';
import { assertOwnServer, identifyServer } from '../../postgres/replication/server-identity.ts';
import { DATA_PAGE_BYTES } from '../../postgres/data-page.ts';
import { parseTimelineHistory } from '../../postgres/timeline-history.ts';
import { WaldenError } from '../../errors.ts';
import { pathOf } from '../../wal/path-coverage.ts';
import type { BackupDeps, BackupRequest } from '../backup-deps.ts';
import type { OpenedSource } from '../backup-source.ts';
import { chooseParent, type ParentBackup } from '../choose-parent.ts';
import { checkArchiving, noteRisks } from '../preflight.ts';
import { copyStream, type StreamServer } from './copy-stream.ts';
import { APPLICATION_NAME } from './read-base-backup.ts';

/** What MAX_RATE takes, in units of 1024 bytes (basebackup.h). */
const RATE_UNIT_BYTES = 1024;
const LEAST_RATE = 32;
const MOST_RATE = 1_048_576;
const FIRST_INCREMENTAL = 17;

/** Base backups over the replication protocol, from the first of the configured servers that will do. @throws SERVER_* */
export async function openStream(
  deps: Pick<BackupDeps, 'log' | 'catalog' | 'repositories'>,
  request: Pick<BackupRequest, 'cluster' | 'identity' | 'parent'>,
  source: StreamBackupSource,
): Promise<OpenedSource> {
  const { name } = request.cluster;
  const note = (message: string): void => {
    deps.log.warn({ cluster: name }, message);
  };
  const server = await onFirstServer(
    parseHostList(source.conninfo),
    async ({ connection, isOnThisHost, index }): Promise<StreamServer> => ({
      ...(await lookAt(connection, request, note)),
      ...{ conninfo: source.conninfo, hostIndex: index },
      parent: await parentFor(deps, request, connection),
      compression: isOnThisHost && source.compression === 'auto' ? 'off' : source.compression,
      maxRateKilobytes: maxRate(source.maxRateBytes),
    }),
    APPLICATION_NAME,
  );
  return {
    parent: server.parent,
    copy: (context) => copyStream(context, server),
    // Nothing is kept open between the look at the server and the copy, which ends what it began.
    close: () => Promise.resolve(),
  };
}

type SeenServer = Pick<StreamServer, 'dataChecksums' | 'segmentBlocks' | 'isStandby' | 'canCompress'>;

/** Refuses, before anything is begun, what could not give a usable backup. */
async function lookAt(
  connection: ReplicationConnection,
  { cluster, identity }: Pick<BackupRequest, 'cluster' | 'identity'>,
  note: (message: string) => void,
): Promise<SeenServer> {
  const server = await identifyServer(connection);
  assertOwnServer(server, identity);
  const { serverVersion } = server;
  // Before 14 only this tells it, which a primary may be set to as well; it is asked for hints alone.
  const recovery = serverVersion >= 140_000 ? 'in_hot_standby' : 'transaction_read_only';
  const isStandby = (await connection.show(recovery)) === 'on';
  // What a standby does with WAL does not matter: its primary archives it.
  if (cluster.receive === undefined && !isStandby) {
    checkArchiving({
      archive_mode: await connection.show('archive_mode'),
      archive_command: await connection.show('archive_command'),
      archive_library: serverVersion >= 150_000 ? await connection.show('archive_library') : null,
    });
  }
  noteRisks(
    { fsync: await connection.show('fsync'), full_page_writes: await connection.show('full_page_writes') },
    note,
  );
  return {
    isStandby,
    canCompress: canCompress(serverVersion),
    dataChecksums: (await connection.show('data_checksums')) === 'on',
    segmentBlocks: segmentBlocks(await connection.show('segment_size')),
  };
}

/** Refuses what the server could not give an increment of: a full backup is never taken instead. */
async function parentFor(
  deps: Pick<BackupDeps, 'catalog' | 'repositories'>,
  request: Pick<BackupRequest, 'cluster' | 'identity' | 'parent'>,
  connection: ReplicationConnection,
): Promise<ParentBackup | undefined> {
  if (request.parent === undefined) return undefined;
  const { majorVersion } = request.identity;
  if (majorVersion < FIRST_INCREMENTAL) {
    throw new WaldenError(
      'SERVER_SETTINGS',
      `PostgreSQL ${majorVersion} takes no incremental backups, ${FIRST_INCREMENTAL} does`,
      {
        hint: `take a full backup: walden backup ${request.cluster.name}`,
      },
    );
  }
  if ((await connection.show('summarize_wal')) !== 'on') {
    throw new WaldenError('SERVER_SETTINGS', 'unable to take an incremental backup: summarize_wal is off', {
      hint: 'set summarize_wal = on, reload PostgreSQL, and take a full backup to build on',
    });
  }
  const { timeline } = await connection.identifySystem();
  const history = timeline === 1 ? '' : (await connection.timelineHistory(timeline)).toString('utf8');
  const path = pathOf(parseTimelineHistory(history, timeline));
  return await chooseParent(deps, request, request.parent === 'newest' ? undefined : request.parent, path);
}

/** `1GB`, say: what SHOW makes of a number of blocks. @throws SERVER_QUERY */
function segmentBlocks(text: string): number {
  const [, number, unit = ''] = /^(\d{1,10})(kB|MB|GB|TB)$/.exec(text) ?? [];
  const power = ['kB', 'MB', 'GB', 'TB'].indexOf(unit) + 1;
  if (number === undefined) throw new WaldenError('SERVER_QUERY', `PostgreSQL has a segment_size of ${text}`);
  return (Number(number) * 1024 ** power) / DATA_PAGE_BYTES;
}

function maxRate(bytes: number | undefined): number | undefined {
  if (bytes === undefined) return undefined;
  return Math.min(MOST_RATE, Math.max(LEAST_RATE, Math.floor(bytes / RATE_UNIT_BYTES)));
}
