import { WaldenError } from '../../src/errors.ts';
import type { CatalogDatabase } from './database.ts';

/**
 * Writes the write-ahead log into the database, synced, and empties it. Without waiting for others: the whole service would
 * stand still meanwhile.
 * @throws LOCAL_IO: another process reads or writes
 */
export function foldWriteAheadLog(database: CatalogDatabase): void {
  const patience = Number(database.pragma('busy_timeout', { simple: true }));
  database.pragma('busy_timeout = 0');
  try {
    const [result] = database.pragma('wal_checkpoint(TRUNCATE)') as readonly { readonly busy: bigint }[];
    if (result?.busy === 0n) return;
  } finally {
    database.pragma(`busy_timeout = ${patience}`);
  }
  throw new WaldenError('LOCAL_IO', 'another process is reading the catalog', {
    hint: 'end the other process and begin again',
  });
}
