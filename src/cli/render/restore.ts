import type { RestoreRequest } from '../../service/api.ts';

/** What was restored, what to look at, and how to go on. */
export function renderRestore(request: RestoreRequest, result: unknown): string {
  const next =
    request.standby === true ? 'it will follow as a standby' : 'PostgreSQL replays WAL up to the target, then opens';
  return [
    `restored into ${request.to}`,
    ...textsOf(result, 'notes').map((note) => `note: ${note}`),
    ...textsOf(result, 'warnings').map((warning) => `WARNING: ${warning}`),
    `start it with: pg_ctl -D ${request.to} start (${next})`,
  ].join('\n');
}

/** The result of a job is whatever JSON the service made: only what is a list of texts is shown. */
function textsOf(result: unknown, member: string): readonly string[] {
  if (typeof result !== 'object' || result === null) return [];
  const list = (result as Readonly<Record<string, unknown>>)[member];
  return Array.isArray(list) ? list.filter((item) => typeof item === 'string') : [];
}
