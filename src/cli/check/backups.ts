import { formatAge, secondsBetween } from '../render/units.ts';
import { type Check, failed, ok, valueOf, warning } from './facts.ts';

/** A week, and a day for a backup that is late. */
const OLD_SECONDS = 8 * 86_400;

/** Whether each repository gives the cluster back, and how far its newest backup is. */
export const checkBackups: Check = ({ service, config, now }) => {
  const status = valueOf(service)?.status;
  if (status === undefined) return [];
  return status.repositories.flatMap(({ name, required, windows, lastBackup }) => {
    const what = status.repositories.length === 1 ? 'backup' : `backup in ${name}`;
    const take = `take one: walden backup ${config.name}`;
    const judge = required ? failed : warning;
    if (windows.length === 0 || lastBackup === null) {
      return [judge(what, 'there is no complete backup with all of its WAL: nothing can be restored', take)];
    }
    const since = lastBackup.facts?.stoppedAt ?? lastBackup.startedAt;
    const age = Math.max(0, secondsBetween(since, now.toISOString()));
    const measures = required
      ? [{ label: 'backup_age', value: Math.round(age), unit: 's', warning: OLD_SECONDS } as const]
      : [];
    const title = `the newest, ${lastBackup.id}, ended ${formatAge(since, now)}`;
    const corrupt = lastBackup.facts?.corruptPages.length ?? 0;
    return [
      age > OLD_SECONDS ? warning(what, title, take, ...measures) : ok(what, title, ...measures),
      ...(corrupt === 0
        ? []
        : [failed(what, `${lastBackup.id} holds corrupt pages of the cluster`, `see: walden show ${config.name}`)]),
    ];
  });
};
