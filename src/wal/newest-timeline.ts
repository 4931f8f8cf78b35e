import type { TimelineId } from '../postgres/lsn.ts';
import type { ArchiveContext } from './archive-context.ts';

/** The newest timeline of which a required repository has WAL or the history, as far as the catalog knows; 0: none. */
export async function newestTimeline({
  catalog,
  cluster,
  required,
}: Pick<ArchiveContext, 'catalog' | 'cluster' | 'required'>): Promise<TimelineId | 0> {
  let newest: TimelineId | 0 = 0;
  for (const { name } of required) {
    const ranges = await catalog.walRanges(name, cluster);
    const histories = await catalog.timelineHistories(name, cluster);
    for (const timeline of [ranges.at(-1)?.timeline, histories.at(-1)?.timeline]) {
      if (timeline !== undefined && timeline > newest) newest = timeline;
    }
  }
  return newest;
}
