import { randomUUID } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isWaldenError, localIoError, WaldenError } from '../../errors.ts';
import type { TimelineId } from '../../postgres/lsn.ts';
import { parseTimelineHistory } from '../../postgres/timeline-history.ts';
import { historyName } from '../../postgres/wal-name.ts';
import type { Ancestry } from '../path-coverage.ts';
import { readArchive, wantsHistory, withHistories } from './archive-state.ts';
import { differenceOf } from './node-history.ts';
import { GIVEN_UP, pushed, type Repair } from './repair.ts';
import type { NodeHistoryFile, WalSource } from './wal-source.ts';

interface Offer {
  readonly source: WalSource;
  readonly history: Ancestry;
  readonly content: Buffer;
}

/**
 * Stores the histories that are wanted, newest first, since one names those that it comes from. Of nodes that say different
 * things of one timeline none is believed.
 */
export async function bringHistories(repair: Repair, sources: readonly WalSource[]): Promise<void> {
  const timelines = [...new Set(sources.flatMap((source) => source.timelines))].sort((a, b) => b - a);
  const stored: Ancestry[] = [];
  for (const timeline of timelines) {
    const known = withHistories(repair.archive, stored);
    // Asked for only where it may be wanted.
    if (known.views.every(({ histories }) => histories.some((one) => one.timeline === timeline))) continue;
    const offers = (await offersOf(repair, sources, timeline)).filter(({ source, history }) =>
      wantsHistory(known, history, source.isNamed && source.isSuccessor),
    );
    const [first] = offers;
    if (first === undefined || !areTheSame(repair, first, offers)) continue;
    if (await store(repair, first)) stored.push(first.history);
  }
  repair.archive = repair.dryRun ? withHistories(repair.archive, stored) : await readArchive(repair.context);
}

async function offersOf(
  { signal }: Repair,
  sources: readonly WalSource[],
  timeline: TimelineId,
): Promise<readonly Offer[]> {
  const offers: Offer[] = [];
  for (const source of sources) {
    signal.throwIfAborted();
    if (!source.timelines.includes(timeline)) continue;
    const file = await askFor(source, timeline);
    if (file === undefined) continue;
    const { content } = file;
    offers.push({ source, content, history: parseTimelineHistory(content.toString('utf8'), timeline) });
  }
  return offers;
}

async function askFor(source: WalSource, timeline: TimelineId): Promise<NodeHistoryFile | undefined> {
  try {
    return await source.history(timeline);
  } catch (error) {
    // It went away in this moment: what is asked of it next tells so.
    if (isWaldenError(error, ...GIVEN_UP)) return undefined;
    throw error;
  }
}

function areTheSame({ ledger }: Repair, first: Offer, offers: readonly Offer[]): boolean {
  for (const { source, history } of offers) {
    const difference = differenceOf(history, first.history, first.source.name);
    if (difference === undefined) continue;
    ledger.differs(historyName(history.timeline), source.name, new WaldenError('ARCHIVE_DUPLICATE', difference));
    return false;
  }
  return true;
}

async function store(repair: Repair, { source, history, content }: Offer): Promise<boolean> {
  const { context, dryRun, ledger } = repair;
  const name = historyName(history.timeline);
  const path = join(context.stagingDirectory, `${name}.${randomUUID()}`);
  try {
    if (!dryRun) {
      await writeFile(path, content, { flag: 'wx', mode: 0o640 }).catch((error: unknown) => {
        throw localIoError(error, `unable to stage ${path}`);
      });
      if ((await pushed(repair, source.name, name, path)) !== undefined) return false;
    }
    ledger.file(name, source.name);
    return true;
  } finally {
    await rm(path, { force: true });
  }
}
