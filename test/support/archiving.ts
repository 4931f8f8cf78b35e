import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { appendSettings, type TestServer } from './postgres-server.ts';
import { segmentObject } from './stored.ts';
import { until } from './until.ts';
import type { WaldenHarness } from './walden.ts';

const ARCHIVE_DEADLINE_MS = 180_000;

/** Has the server archive through `bin/walden-push`; `archive_mode = on` was set at its start. */
export async function archiveInto(server: TestServer, walden: WaldenHarness, cluster = 'main'): Promise<void> {
  const { archiveCommand } = await walden.commandSettings(cluster);
  await appendSettings(server.dataDirectory, { archive_command: archiveCommand });
  await server.query('select pg_reload_conf()');
}

/** Ends the current segment. @returns its name; it may not be archived yet */
export async function switchSegment(server: TestServer): Promise<string> {
  // A switch at the very start of a segment does nothing: so something is written first.
  await server.query("select pg_logical_emit_message(false, 'test', 'ends a segment')");
  return await server.value('select pg_walfile_name(pg_switch_wal())');
}

/** Whether the server says that a segment is archived. */
export function isArchived(server: TestServer, segment: string): boolean {
  const wal = join(server.dataDirectory, 'pg_wal');
  const status = (suffix: string): boolean => existsSync(join(wal, 'archive_status', `${segment}.${suffix}`));
  return status('done') || (!status('ready') && !existsSync(join(wal, segment)));
}

/** Waits until the server says that a segment is archived. */
export async function archived(server: TestServer, segment: string): Promise<void> {
  await until(() => isArchived(server, segment), {
    what: `${segment} to be archived`,
    deadlineMs: ARCHIVE_DEADLINE_MS,
    explain: () => server.log(),
  });
}

/** The segments of cluster `main` that PostgreSQL believes to be archived and that are not in the repository: none, ever. */
export function acknowledgedButMissing(server: TestServer, walden: WaldenHarness): readonly string[] {
  return readdirSync(join(server.dataDirectory, 'pg_wal/archive_status'))
    .filter((name) => /^[0-9A-F]{24}\.done$/.test(name))
    .map((name) => name.slice(0, 24))
    .filter((segment) => !existsSync(segmentObject(walden, segment)));
}

/** Ends the current segment and waits until it is archived: everything written before can be restored. */
export async function archiveNow(server: TestServer): Promise<string> {
  const segment = await switchSegment(server);
  await archived(server, segment);
  return segment;
}

/** The server's clock, with time zone, as `walden restore --time` takes it. */
export async function serverTime(server: TestServer): Promise<string> {
  return await server.value(
    `select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '+00'`,
  );
}
