import type { SourceEntry } from './list-files.ts';
import type { PackMember, PlannedFiles } from './pack-input.ts';
import type { Survey } from './survey-input.ts';

/**
 * Cuts the work into tasks for the workers. Big files go first and alone, the biggest at the head, so that no worker is
 * left with a long one at the end. Files that came after the survey are none of the backup's: the WAL makes them.
 */
export function* planTasks(
  { bigFiles, bundles }: Survey,
  place: Pick<PlannedFiles, 'plan' | 'dataDirectory'>,
): Generator<readonly PackMember[] | PlannedFiles, void, undefined> {
  for (const file of bigFiles) yield [memberOf(file)];
  for (const bundle of bundles) yield { ...place, ...bundle };
}

/** The directories of the survey: to be packed before anything else. */
export function directoryMembers({ directories }: Survey): PackMember[] {
  return directories.map(memberOf);
}

export function tablespacesOf({ directories }: Survey): { readonly oid: number; readonly location: string }[] {
  return directories.filter((entry) => entry.type === 'tablespace').map(({ oid, location }) => ({ oid, location }));
}

function memberOf(entry: SourceEntry): PackMember {
  const { type, path, source } = entry;
  if (type !== 'tablespace') return { type, path, source };
  return { type, path, source, tablespace: { oid: entry.oid, location: entry.location } };
}
