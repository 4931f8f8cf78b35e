import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import Database from 'better-sqlite3';
import { WaldenError } from '../../src/errors.ts';
import { type Clock, systemClock } from '../../src/platform/clock.ts';
import { catalogError, isBusy } from './sqlite-errors.ts';

export interface ExclusiveLock {
  /** Idempotent. */
  release(): void;
}

interface Holder {
  readonly pid: number;
  /** ISO 8601, UTC. */
  readonly since: string;
}

/**
 * Holds the lock file at `path` for this process. The lock is SQLite's own on an open file, so the kernel frees it however
 * the process ends, `kill -9` included. Who holds it stands in `<path>.json`, for people: the lock itself never looks there.
 * @throws LOCK_HELD naming the process and since when, LOCAL_IO
 */
export function holdExclusiveLock(path: string, clock: Clock = systemClock): ExclusiveLock {
  const database = lock(path);
  const notePath = `${path}.json`;
  let held = true;
  const release = (): void => {
    if (!held) return;
    held = false;
    // The note goes while the lock is still held: the next holder's must not be the one that is removed.
    rmSync(notePath, { force: true });
    database.close();
  };
  const holder: Holder = { pid: process.pid, since: clock.now().toISOString() };
  try {
    writeFileSync(notePath, `${JSON.stringify(holder)}\n`);
  } catch {
    // A full disk: the lock is held all the same, only its holder is not named.
  }
  return { release };
}

function lock(path: string): Database.Database {
  let database: Database.Database | undefined;
  try {
    database = new Database(path, { timeout: 0 });
    // In the rollback journal's mode BEGIN EXCLUSIVE shuts out readers too; in WAL mode it would not.
    database.pragma('journal_mode = DELETE');
    database.exec('BEGIN EXCLUSIVE');
    return database;
  } catch (error) {
    database?.close();
    if (isBusy(error)) throw lockHeld(path);
    throw catalogError(error, `cannot lock ${path}`);
  }
}

function lockHeld(path: string): WaldenError {
  const holder = readHolder(`${path}.json`);
  const who = holder === undefined ? 'another process' : `process ${holder.pid} since ${holder.since}`;
  return new WaldenError('LOCK_HELD', `cannot lock ${path}: it is held by ${who}`, {
    details: { path, ...holder },
  });
}

function readHolder(notePath: string): Holder | undefined {
  try {
    const note: unknown = JSON.parse(readFileSync(notePath, 'utf8'));
    if (typeof note !== 'object' || note === null || !('pid' in note) || !('since' in note)) return undefined;
    const { pid, since } = note;
    return typeof pid === 'number' && typeof since === 'string' ? { pid, since } : undefined;
  } catch {
    // The holder may be between taking the lock and writing the note; the lock is held all the same.
    return undefined;
  }
}
