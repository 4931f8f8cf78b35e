import { constants } from 'node:fs';
import { access, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { localIoError, systemErrorCode } from '../../errors.ts';
import type { SegmentRun } from '../../../catalog/catalog.ts';
import { type ControlFile, readControlFile } from '../../postgres/control-file.ts';
import type { TimelineId } from '../../postgres/lsn.ts';
import { assertOwnServer } from '../../postgres/replication/server-identity.ts';
import { parseTimelineHistory } from '../../postgres/timeline-history.ts';
import { historyName, parseWalName, segmentName } from '../../postgres/wal-name.ts';
import type { ArchiveContext } from '../archive-context.ts';
import { readyFiles } from '../archive-status.ts';
import { differenceOf, type Histories, historyOf, type Judged } from './node-history.ts';
import type { Lacks, NodeHistoryFile, TakeSegment, WalSource } from './wal-source.ts';

const HISTORY = /^[0-9A-F]{8}\.history$/;

export interface DirectoryPlace {
  readonly path: string;
  readonly isNamed: boolean;
  /** Whether everything that its archiver has not brought is wanted, not only what is missing. */
  readonly isEmptied: boolean;
  /** Whether a server runs in it, which may be writing its last segment. */
  readonly isRunning: boolean;
  /** As of a server. */
  readonly histories: () => Histories;
}

/**
 * A data directory on this host, whether its server runs or is dead. Each file says itself of which timeline and which place it
 * is; whether it is whole is found out when it is stored.
 */
export class DirectorySource implements WalSource {
  readonly name: string;
  readonly isNamed: boolean;
  readonly isSuccessor: boolean;
  readonly control: ControlFile;
  readonly #context: Pick<ArchiveContext, 'identity'>;
  readonly #place: DirectoryPlace;
  /** Those of its history files. */
  readonly #histories: Histories;

  private constructor(
    context: Pick<ArchiveContext, 'identity'>,
    place: DirectoryPlace,
    found: { readonly control: ControlFile; readonly histories: Histories; readonly isSuccessor: boolean },
  ) {
    this.name = place.path;
    this.isNamed = place.isNamed;
    this.isSuccessor = found.isSuccessor;
    this.control = found.control;
    this.#context = context;
    this.#place = place;
    this.#histories = found.histories;
  }

  /** @throws LOCAL_IO, FORMAT_INVALID; SERVER_MISMATCH when it is of another cluster */
  static async open(context: Pick<ArchiveContext, 'identity'>, place: DirectoryPlace): Promise<DirectorySource> {
    const control = await readControlFile(place.path);
    assertOwnServer(control, context.identity);
    const histories = await readHistories(walDirectory(place.path));
    const newest = Math.max(0, ...histories.keys());
    const ready = await readyFiles(place.path);
    const isSuccessor = ready.some(({ kind, timeline }) => kind === 'history' && timeline === newest);
    return new DirectorySource(context, place, { control, histories, isSuccessor });
  }

  get path(): string {
    return this.#place.path;
  }

  get isEmptied(): boolean {
    return this.#place.isEmptied;
  }

  get isRunning(): boolean {
    return this.#place.isRunning;
  }

  get timelines(): readonly TimelineId[] {
    return [...this.#histories.keys()].sort((a, b) => a - b);
  }

  async history(timeline: TimelineId): Promise<NodeHistoryFile | undefined> {
    if (!this.#histories.has(timeline)) return undefined;
    const content = await readFile(this.pathOf(historyName(timeline))).catch((error: unknown) => {
      throw localIoError(error, `unable to read ${this.pathOf(historyName(timeline))}`);
    });
    return { timeline, content };
  }

  judge(run: SegmentRun): Judged {
    const reason = this.differenceOn(run.timeline);
    return reason === undefined ? { may: run, refused: undefined } : { may: undefined, refused: { run, reason } };
  }

  /** Why its WAL of this timeline is not the archive's; undefined: it is. What the archive knows nothing of differs in nothing. */
  differenceOn(timeline: TimelineId): string | undefined {
    const theirs = historyOf(this.#histories, timeline);
    const ours = historyOf(this.#place.histories(), timeline);
    if (theirs === undefined) return `it has no history of timeline ${timeline}`;
    const difference = ours && differenceOf(theirs, ours);
    return difference && `other history: ${difference}`;
  }

  async holds(run: SegmentRun, lacks: Lacks): Promise<readonly SegmentRun[]> {
    const held: { timeline: TimelineId; first: bigint; last: bigint }[] = [];
    await this.bring(
      run,
      (segment) => {
        const before = held.at(-1);
        if (before?.last === segment - 1n) before.last = segment;
        else held.push({ timeline: run.timeline, first: segment, last: segment });
        return Promise.resolve();
      },
      lacks,
    );
    return held;
  }

  async bring({ timeline, first, last }: SegmentRun, take: TakeSegment, lacks: Lacks): Promise<void> {
    for (let segment = first; segment <= last; segment += 1n) {
      const path = this.pathOf(segmentName(timeline, segment, this.#context.identity.segmentBytes));
      const reason = await whyUnreadable(path);
      if (reason === undefined) await take(segment, path);
      else lacks({ timeline, first: segment, last: segment }, reason);
    }
  }

  pathOf(name: string): string {
    return join(walDirectory(this.#place.path), name);
  }
}

function walDirectory(dataDirectory: string): string {
  return join(dataDirectory, 'pg_wal');
}

async function whyUnreadable(path: string): Promise<string | undefined> {
  try {
    await access(path, constants.R_OK);
    return undefined;
  } catch (error) {
    const code = systemErrorCode(error);
    return code === 'ENOENT' ? 'not in its pg_wal' : `cannot be read (${code ?? 'unknown'})`;
  }
}

/** What cannot be parsed is as good as not there: nothing of that timeline is taken then. @throws LOCAL_IO */
async function readHistories(directory: string): Promise<Histories> {
  const histories = new Map<TimelineId, ReturnType<typeof parseTimelineHistory>>();
  try {
    for (const entry of await readdir(directory)) {
      if (!HISTORY.test(entry)) continue;
      const { timeline } = parseWalName(entry);
      const parsed = parsedOrNothing(await readFile(join(directory, entry), 'utf8'), timeline);
      if (parsed !== undefined) histories.set(timeline, parsed);
    }
  } catch (error) {
    throw localIoError(error, `unable to read the history files in ${directory}`);
  }
  return histories;
}

function parsedOrNothing(text: string, timeline: TimelineId): ReturnType<typeof parseTimelineHistory> | undefined {
  try {
    return parseTimelineHistory(text, timeline);
  } catch {
    // Torn by a crash, say.
    return undefined;
  }
}
