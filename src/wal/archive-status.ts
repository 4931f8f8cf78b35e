import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { systemErrorCode, WaldenError } from '../errors.ts';
import { parseWalName, type ParsedWalName } from '../postgres/wal-name.ts';

const READY = '.ready';

/**
 * The WAL files that PostgreSQL wants archived: `pg_wal/archive_status/*.ready`, in the order of its own archiver
 * (pgarch.c): history files first, then by name.
 * @throws LOCAL_IO
 */
export async function readyFiles(dataDirectory: string): Promise<readonly ParsedWalName[]> {
  const directory = join(dataDirectory, 'pg_wal', 'archive_status');
  let entries: readonly string[];
  try {
    entries = await readdir(directory);
  } catch (cause) {
    throw new WaldenError('LOCAL_IO', `unable to list ${directory} (${systemErrorCode(cause) ?? 'unknown'})`, {
      hint: 'the user of the service must be able to read the data directory',
      cause,
    });
  }
  const files: ParsedWalName[] = [];
  for (const entry of entries) {
    if (entry.endsWith(READY) && isWalName(entry.slice(0, -READY.length))) {
      files.push(parseWalName(entry.slice(0, -READY.length)));
    }
  }
  return files.sort(byArchiverOrder);
}

function isWalName(text: string): boolean {
  try {
    parseWalName(text);
    return true;
  } catch {
    // PostgreSQL archives nothing under another name, so another name is not ours to judge.
    return false;
  }
}

function byArchiverOrder(a: ParsedWalName, b: ParsedWalName): number {
  const aFirst = a.kind === 'history';
  const bFirst = b.kind === 'history';
  if (aFirst !== bFirst) return aFirst ? -1 : 1;
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}
