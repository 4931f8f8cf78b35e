import { WaldenError } from '../errors.ts';
import type { BackupId, ClusterName, RepositoryName } from '../../catalog/catalog.ts';
import { micros, type Micros, parseMicros } from '../postgres/timestamp.ts';

const NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/;

/** @throws CONFIG_INVALID unless 1 to 63 of a-z, 0-9, `_`, `-`, not beginning with `_` or `-`: it becomes a part of paths. */
export function clusterName(text: string): ClusterName {
  return checkName('cluster', text) as ClusterName;
}

/** @throws CONFIG_INVALID, as `clusterName`. */
export function repositoryName(text: string): RepositoryName {
  return checkName('repository', text) as RepositoryName;
}

/** @throws CONFIG_INVALID, as `clusterName`. */
export function scheduleOrHookName(text: string): string {
  return checkName('schedule or hook', text);
}

/** @throws FORMAT_INVALID unless like `20261122T021500F`. */
export function backupId(text: string): BackupId {
  if (!/^\d{8}T\d{6}[FI]$/.test(text)) {
    throw new WaldenError('FORMAT_INVALID', `${JSON.stringify(text)} is not a backup id`, {
      hint: 'a backup id looks like 20261122T021500F; list them with: walden list',
    });
  }
  return text as BackupId;
}

/** Whether the backup builds on another one. */
export function isIncremental(id: BackupId): boolean {
  return id.endsWith('I');
}

/** The second in the id, which is that of the start. */
export function startOfBackupId(id: BackupId): Micros {
  const [, year, month, day, hour, minute, second] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)/.exec(id) ?? [];
  const text = `${year ?? ''}-${month ?? ''}-${day ?? ''}T${hour ?? ''}:${minute ?? ''}:${second ?? ''}Z`;
  try {
    return parseMicros(text);
  } catch {
    // The pattern of ids lets a 13th month pass: the backup failed all the same.
    return micros(0);
  }
}

function checkName(what: string, text: string): string {
  if (!NAME.test(text)) {
    throw new WaldenError('CONFIG_INVALID', `${JSON.stringify(text)} is not a valid ${what} name`, {
      hint: 'use 1 to 63 of a-z, 0-9, _ and -, beginning with a letter or digit',
    });
  }
  return text;
}
