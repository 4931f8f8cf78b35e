import { type Static, Type, Value } from '../typebox.ts';
import { WaldenError } from '../errors.ts';
import type { BackupFacts, BackupId, BackupStart, ClusterName } from '../../catalog/catalog.ts';
import type { Sha256Hex } from '../../storage-drivers/driver.ts';
import { formatLsn, parseLsn, timelineId } from '../postgres/lsn.ts';
import { formatMicros, parseMicros } from '../postgres/timestamp.ts';
import { IDENTITY_MEMBERS, identityFromJson } from './identity-json.ts';
import { backupRecordKey } from './keys.ts';
import { backupId, clusterName, isIncremental } from './names.ts';
import { readSmallObject, type StoredObject } from './object-bytes.ts';
import type { Repository } from './repository.ts';
import { openSealedJson, sealJson } from './sealed-json.ts';

/**
 * `backup.json`, the commit record of a backup: it exists if and only if the backup does. The same bytes stand in every
 * repository that holds the backup, so it does not name one.
 */

const FORMAT = 1;
/** Of incremental backups: who knows only format 1 would restore their files as if they were whole. */
const INCREMENTAL_FORMAT = 2;
export const MAX_RECORD_BYTES = 256 * 1024 * 1024;

export interface StoredBackup {
  readonly start: BackupStart;
  readonly facts: BackupFacts;
  /** Byte for byte as pg_backup_stop gave it. */
  readonly backupLabel: string;
  /** As pg_backup_stop gave it; empty without tablespaces. */
  readonly tablespaceMap: string;
  /** Pack 1 first. Stored bytes. */
  readonly packs: readonly StoredObject[];
  readonly manifest: StoredObject;
  /** Version of Walden that took it. */
  readonly waldenVersion: string;
}

const Count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const Stored = Type.Object({ bytes: Count, sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }) });
const RecordJson = Type.Object({
  format: Type.Integer({ minimum: FORMAT, maximum: INCREMENTAL_FORMAT }),
  cluster: Type.String(),
  id: Type.String(),
  parent: Type.Optional(Type.String()),
  label: Type.String(),
  startedAt: Type.String(),
  identity: Type.Object(IDENTITY_MEMBERS),
  timeline: Type.Integer(),
  startLsn: Type.String(),
  stopLsn: Type.String(),
  stoppedAt: Type.String(),
  finishedAt: Type.String(),
  files: Count,
  plainBytes: Count,
  storedBytes: Count,
  checksumsVerified: Type.Boolean(),
  corruptPages: Type.Array(Type.Object({ path: Type.String(), blocks: Type.Array(Count) })),
  tablespaces: Type.Array(
    Type.Object({ oid: Type.Integer({ minimum: 1, maximum: 0xffff_ffff }), location: Type.String() }),
  ),
  backupLabel: Type.String(),
  tablespaceMap: Type.String(),
  packs: Type.Array(Stored),
  manifest: Stored,
  waldenVersion: Type.String(),
});
type RecordJson = Static<typeof RecordJson>;

export function encodeBackupRecord(backup: StoredBackup): Buffer {
  const { start, facts } = backup;
  return sealJson({
    format: facts.parent === undefined ? FORMAT : INCREMENTAL_FORMAT,
    cluster: start.cluster,
    id: start.id,
    ...(facts.parent === undefined ? {} : { parent: facts.parent }),
    label: start.label,
    startedAt: formatMicros(start.startedAt),
    identity: {
      systemIdentifier: facts.identity.systemIdentifier,
      majorVersion: facts.identity.majorVersion,
      segmentBytes: facts.identity.segmentBytes,
    },
    timeline: facts.timeline,
    startLsn: formatLsn(facts.startLsn),
    stopLsn: formatLsn(facts.stopLsn),
    stoppedAt: formatMicros(facts.stoppedAt),
    finishedAt: formatMicros(facts.finishedAt),
    files: facts.files,
    plainBytes: facts.plainBytes,
    storedBytes: facts.storedBytes,
    checksumsVerified: facts.checksumsVerified,
    corruptPages: facts.corruptPages.map(({ path, blocks }) => ({ path, blocks: [...blocks] })),
    tablespaces: facts.tablespaces.map(({ oid, location }) => ({ oid, location })),
    backupLabel: backup.backupLabel,
    tablespaceMap: backup.tablespaceMap,
    packs: backup.packs.map(({ bytes, sha256 }) => ({ bytes, sha256 })),
    manifest: { bytes: backup.manifest.bytes, sha256: backup.manifest.sha256 },
    waldenVersion: backup.waldenVersion,
  } satisfies RecordJson);
}

/** `what` names the object in errors. @throws FORMAT_INVALID, FORMAT_TOO_NEW, CHECKSUM_MISMATCH */
export function decodeBackupRecord(
  bytes: Uint8Array,
  repository: BackupStart['repository'],
  what: string,
): StoredBackup {
  const json = openSealedJson(bytes, what);
  if (typeof json['format'] === 'number' && json['format'] > INCREMENTAL_FORMAT) {
    const fact = `${what} has format ${json['format']}; this version knows ${INCREMENTAL_FORMAT}`;
    throw new WaldenError('FORMAT_TOO_NEW', fact);
  }
  if (!Value.Check(RecordJson, json)) throw new WaldenError('FORMAT_INVALID', `${what} lacks fields of a backup`);
  assertParent(json, what);
  return {
    start: {
      repository,
      cluster: clusterName(json.cluster),
      id: backupId(json.id),
      label: json.label,
      startedAt: parseMicros(json.startedAt),
    },
    facts: factsFromJson(json),
    backupLabel: json.backupLabel,
    tablespaceMap: json.tablespaceMap,
    packs: json.packs.map(storedFromJson),
    manifest: storedFromJson(json.manifest),
    waldenVersion: json.waldenVersion,
  };
}

/** The format, the kind that the id tells, and the parent say the same. */
function assertParent({ format, id, parent }: RecordJson, what: string): void {
  const told = [format === INCREMENTAL_FORMAT, isIncremental(backupId(id)), parent !== undefined];
  const sound = told.every((one) => one === told[0]) && parent !== id;
  if (!sound) throw new WaldenError('FORMAT_INVALID', `${what} is neither of a full backup nor of an incremental one`);
}

/**
 * @throws STORAGE_OBJECT_MISSING when there is no such backup, FORMAT_INVALID (also when the record is of another
 * backup), FORMAT_TOO_NEW, CHECKSUM_MISMATCH, and the codes of a store out of reach.
 */
export async function readBackupRecord(
  repository: Repository,
  cluster: ClusterName,
  id: BackupId,
  signal?: AbortSignal,
): Promise<StoredBackup> {
  const key = backupRecordKey(cluster, id);
  const bytes = await readSmallObject(repository.driver, key, MAX_RECORD_BYTES, signal);
  const backup = decodeBackupRecord(bytes, repository.name, `${key} in repository ${repository.name}`);
  if (backup.start.cluster !== cluster || backup.start.id !== id) {
    throw new WaldenError('FORMAT_INVALID', `${key} describes ${backup.start.cluster}/${backup.start.id}`);
  }
  return backup;
}

function factsFromJson(json: RecordJson): BackupFacts {
  return {
    identity: identityFromJson(json.identity),
    parent: json.parent === undefined ? undefined : backupId(json.parent),
    timeline: timelineId(json.timeline),
    startLsn: parseLsn(json.startLsn),
    stopLsn: parseLsn(json.stopLsn),
    stoppedAt: parseMicros(json.stoppedAt),
    finishedAt: parseMicros(json.finishedAt),
    files: json.files,
    plainBytes: json.plainBytes,
    storedBytes: json.storedBytes,
    checksumsVerified: json.checksumsVerified,
    corruptPages: json.corruptPages,
    tablespaces: json.tablespaces,
  };
}

function storedFromJson({ bytes, sha256 }: Static<typeof Stored>): StoredObject {
  return { bytes, sha256: sha256 as Sha256Hex };
}
