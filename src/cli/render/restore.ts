import { count, formatBytes, formatDuration } from './units.ts';

/** What was restored, what to look at before it is started, how to start it and what comes then. */
export function renderRestore(result: unknown): string {
  const { backup, to, target, files, bytes, seconds, delta, startCommand } = membersOf(result);
  const lines: string[] = [];
  if (typeof to === 'string') lines.push(`restored into ${to}`);
  if (typeof files === 'number' && typeof bytes === 'number' && typeof seconds === 'number') {
    lines.push(
      `  ${count(files, 'file')}${typeof delta === 'object' && delta !== null ? ' written' : ''}, ${formatBytes(bytes)}, in ${formatDuration(seconds)}${typeof backup === 'string' ? `, from backup ${backup}` : ''}`,
    );
  }
  lines.push(...deltaLines(result));
  if (typeof target === 'string') lines.push(`  recovery target: ${target}`);
  lines.push(...textsOf(result, 'notes').map((note) => `  note: ${note}`));
  lines.push(...textsOf(result, 'warnings').map((warning) => `WARNING: ${warning}`));
  if (typeof startCommand === 'string') lines.push('start it, as the user of PostgreSQL, with:', `  ${startCommand}`);
  lines.push(...textsOf(result, 'next').map((step) => `  then ${step}`));
  return lines.join('\n');
}

function deltaLines(result: unknown): readonly string[] {
  const { keptFiles, keptBytes, removedFiles } = membersOf(membersOf(result)['delta']);
  if (typeof keptFiles !== 'number' || typeof keptBytes !== 'number' || typeof removedFiles !== 'number') return [];
  return [`  kept: ${count(keptFiles, 'file')}, ${formatBytes(keptBytes)}; removed: ${count(removedFiles, 'file')}`];
}

/** The result of a job is whatever JSON the service made: what is not as expected is left out. */
function membersOf(result: unknown): Readonly<Record<string, unknown>> {
  return typeof result === 'object' && result !== null ? (result as Readonly<Record<string, unknown>>) : {};
}

function textsOf(result: unknown, member: string): readonly string[] {
  const list = membersOf(result)[member];
  return Array.isArray(list) ? list.filter((item) => typeof item === 'string') : [];
}
