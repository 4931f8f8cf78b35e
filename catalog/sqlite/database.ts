import Database from 'better-sqlite3';
import { WaldenError } from '../../src/errors.ts';
import { MIGRATIONS } from './migrations/migrations.ts';
import { catalogError } from './sqlite-errors.ts';

export type CatalogDatabase = Database.Database;

/** `each-call`: every change is on disk when its call resolves. `at-close`: for a new file that is thrown away after a crash. */
export type Durability = 'each-call' | 'at-close';

/** How long a call, and the service with it, waits for another process that writes: `sqlite3` in an administrator's hands. */
const BUSY_MILLIS = 5_000;

/**
 * Opens the file and brings its schema up to date.
 * @throws CATALOG_CORRUPT (no database, or malformed), CATALOG_TOO_NEW, LOCAL_IO
 */
export function openDatabase(path: string, durability: Durability): CatalogDatabase {
  let database: CatalogDatabase | undefined;
  try {
    database = new Database(path, { timeout: BUSY_MILLIS });
    database.defaultSafeIntegers(true);
    // Before the first pragma that writes: what is not ours stays as it is.
    assertOurs(database, path);
    database.pragma('journal_mode = WAL');
    // NORMAL syncs where the write-ahead log is folded into the file; the log itself is synced by durable-log.ts.
    database.pragma(`synchronous = ${durability === 'each-call' ? 'NORMAL' : 'OFF'}`);
    database.pragma('foreign_keys = ON');
    migrate(database);
    return database;
  } catch (error) {
    database?.close();
    throw catalogError(error, `cannot open the catalog ${path}`);
  }
}

/** @throws CATALOG_TOO_NEW, CATALOG_CORRUPT */
function assertOurs(database: CatalogDatabase, path: string): void {
  const newest = MIGRATIONS.at(-1)?.version ?? 0;
  const version = schemaVersion(database);
  if (version > newest) {
    throw new WaldenError(
      'CATALOG_TOO_NEW',
      `cannot open the catalog ${path}: its schema is version ${version}, this Walden knows ${newest}`,
      { details: { path, version, newest } },
    );
  }
  if (version === 0 && tableCount(database) > 0) {
    throw new WaldenError('CATALOG_CORRUPT', `cannot open the catalog ${path}: it is a database, but no catalog`, {
      hint: 'name another path in the configuration',
    });
  }
}

function migrate(database: CatalogDatabase): void {
  database
    .transaction(() => {
      // Read again under the write lock: another process may have migrated meanwhile.
      const from = schemaVersion(database);
      for (const migration of MIGRATIONS.filter((each) => each.version > from)) {
        database.exec(migration.sql);
        database.pragma(`user_version = ${migration.version}`);
      }
    })
    .immediate();
}

function schemaVersion(database: CatalogDatabase): number {
  return Number(database.pragma('user_version', { simple: true }));
}

function tableCount(database: CatalogDatabase): number {
  return Number(database.prepare('SELECT count(*) FROM sqlite_schema').pluck().get());
}
