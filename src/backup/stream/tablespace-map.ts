import type { ServerTablespace } from '../../postgres/replication/base-backup-messages.ts';

/**
 * The text that PostgreSQL would have made (do_pg_backup_start in xlog.c), and that pg_backup_stop gives: what ends a line in a
 * path is escaped. It is not asked for over the protocol, since then the symlinks would be missing. Pure.
 */
export function tablespaceMap(tablespaces: readonly ServerTablespace[]): string {
  return tablespaces.map(({ oid, location }) => `${oid} ${location.replaceAll(/[\n\r\\]/g, '\\$&')}\n`).join('');
}
