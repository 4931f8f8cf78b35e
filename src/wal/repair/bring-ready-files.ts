import type { SegmentRun } from '../../../catalog/catalog.ts';
import { type ParsedWalName, segmentNumberOfName } from '../../postgres/wal-name.ts';
import { readyFiles } from '../archive-status.ts';
import { lacksSegment, readArchive } from './archive-state.ts';
import type { DirectorySource } from './directory-source.ts';
import { noteRepaired, pushed, type Repair, storeSegment } from './repair.ts';
import { storeLastSegment } from './store-last-segment.ts';
import { whyNotStored } from './why-not-stored.ts';

/**
 * Takes over what the archiver of a data directory has not brought: whole segments, also those behind the fork, which are stored
 * as what they are, on their own timeline; and, where no server runs, the last segment as far as it has come.
 */
export async function bringReadyFiles(repair: Repair, source: DirectorySource): Promise<void> {
  // What was fetched just now counts.
  if (!repair.dryRun) repair.archive = await readArchive(repair.context);
  for (const file of await readyFiles(source.path)) {
    repair.signal.throwIfAborted();
    if (file.kind === 'segment') await bringSegment(repair, source, file);
    // Histories came before, as far as they are wanted.
    else if (file.kind !== 'history') await bringOther(repair, source, file);
  }
  if (!source.isRunning) await storeLastSegment(repair, source);
}

async function bringSegment(repair: Repair, source: DirectorySource, file: ParsedWalName): Promise<void> {
  const { ledger, context, archive } = repair;
  const { segmentBytes } = context.identity;
  const segment = segmentNumberOfName(file.name, segmentBytes);
  const run: SegmentRun = { timeline: file.timeline, first: segment, last: segment };
  if (!lacksSegment(archive, file.timeline, segment)) return;
  // Brought as a missing one already.
  if (ledger.wantsSegment(run) && !ledger.isLeft(run)) return;
  ledger.wants([run]);
  const refusal = whyNotStored(repair, source, run);
  if (refusal !== undefined) ledger.lacks(source.name, run, refusal);
  else if (repair.dryRun) noteRepaired(repair, source.name, run);
  else await storeSegment(repair, source.name, run, source.pathOf(file.name));
}

/** A partial segment or a backup's history: what PostgreSQL itself wants archived under that name. */
async function bringOther(repair: Repair, source: DirectorySource, file: ParsedWalName): Promise<void> {
  const { catalog, cluster, required } = repair.context;
  let isStored = true;
  for (const { name } of required) isStored &&= (await catalog.walFile(name, cluster, file.name)) !== undefined;
  if (isStored || source.differenceOn(file.timeline) !== undefined) return;
  if (!repair.dryRun && (await pushed(repair, source.name, file.name, source.pathOf(file.name))) !== undefined) return;
  repair.ledger.file(file.name, source.name);
}
