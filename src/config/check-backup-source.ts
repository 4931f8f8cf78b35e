import type { CheckedSection } from './check-sections.ts';
import type { ConfigProblems } from './problems.ts';

/** What a cluster must name depends on where its base backups and its WAL come from. */
export function checkBackupSource(section: CheckedSection<'cluster'>, problems: ConfigProblems): void {
  const { values } = section;
  const refuse = (key: keyof typeof values, fact: string): void => {
    problems.add(section.lineOf(key), `cluster.${section.name}.${key}`, fact);
  };
  const isStream = values.backup_source === 'stream';
  if (values.data_directory === undefined) {
    if (!isStream) refuse('data_directory', 'is missing');
    else if (values.receive !== true) {
      refuse('data_directory', 'is missing: without it WAL can only be received, which needs receive = true');
    }
  }
  if (values.conninfo === undefined && !(isStream && values.replication_conninfo !== undefined)) {
    refuse('conninfo', 'is missing');
  }
  if (isStream) return;
  for (const key of ['stream_compression', 'stream_max_rate'] as const) {
    if (values[key] !== undefined) refuse(key, 'means nothing here: it needs backup_source = "stream"');
  }
}
