import Database from 'better-sqlite3';
import { systemErrorCode, WaldenError } from '../../src/errors.ts';

/** The error as Walden's own; `what` is what was attempted, lower case. */
export function catalogError(error: unknown, what: string): WaldenError {
  if (error instanceof WaldenError) return error;
  if (!(error instanceof Database.SqliteError)) {
    // better-sqlite3 throws a TypeError when the directory of the file does not exist.
    const missing = error instanceof TypeError && error.message.includes('directory does not exist');
    const message = error instanceof Error ? error.message : String(error);
    const code = systemErrorCode(error);
    if (code !== undefined) {
      return new WaldenError(code === 'ENOSPC' ? 'STORAGE_FULL' : 'LOCAL_IO', `${what}: ${message}`, { cause: error });
    }
    return new WaldenError(missing ? 'LOCAL_IO' : 'INTERNAL', `${what}: ${message}`, { cause: error });
  }
  const message = `${what}: ${error.message}`;
  if (isOneOf(error.code, 'SQLITE_CORRUPT', 'SQLITE_NOTADB', 'SQLITE_FORMAT')) {
    return new WaldenError('CATALOG_CORRUPT', message, { cause: error });
  }
  if (isOneOf(error.code, 'SQLITE_FULL')) {
    return new WaldenError('STORAGE_FULL', message, { cause: error });
  }
  if (isOneOf(error.code, 'SQLITE_IOERR', 'SQLITE_CANTOPEN', 'SQLITE_READONLY', 'SQLITE_PERM', 'SQLITE_BUSY')) {
    return new WaldenError('LOCAL_IO', message, { cause: error });
  }
  return new WaldenError('INTERNAL', message, { cause: error });
}

/** Extended codes begin with the primary one: `SQLITE_IOERR_FSYNC`. */
function isOneOf(code: string, ...primary: readonly string[]): boolean {
  return primary.some((each) => code === each || code.startsWith(`${each}_`));
}

/** Whether another connection holds the lock that was asked for. */
export function isBusy(error: unknown): boolean {
  return error instanceof Database.SqliteError && isOneOf(error.code, 'SQLITE_BUSY');
}
