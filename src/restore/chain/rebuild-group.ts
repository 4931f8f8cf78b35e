import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { systemErrorCode, WaldenError } from '../../errors.ts';
import { BLOCK_BYTES, headerBytes } from '../../postgres/incremental-file.ts';
import { packKey } from '../../repository/keys.ts';
import { runOnObject } from '../../repository/run-on-object.ts';
import { type BackupToRead, readAgain, workInFlight, type WriteTools } from '../in-flight.ts';
import { targetPath } from '../places.ts';
import { asLocalError } from '../target-directory.ts';
import type { FileChain, LeveledFile } from './chain-index.ts';
import { copyBlocksTask, type SourceFile } from './copy-blocks-task.ts';
import { type FileToFinish, finishFilesTask } from './finish-files-task.ts';
import { type FrameCopies, framesOfHead, framesWith } from './frame-copies.ts';
import type { MadeFile } from './new-manifest.ts';
import { type IncrementToRead, readIncrementsTask } from './read-increments-task.ts';
import type { ChainToWrite } from './rebuild-files.ts';
import { type Copy, planRebuild, type RebuildPlan } from './rebuild-plan.ts';
import { type Span, spansOf, type StoredPart } from './spans.ts';

/** Files that one task ends. */
const FINISH_LIMITS = { files: 64, bytes: 256 * 1024 * 1024 };

/**
 * Puts some files together: which blocks their increments hold is read first, then what each file takes from where is
 * planned, then only the frames with something of it are read, each backup in its own order. The files are read once more,
 * out of the page cache as a rule, for their hashes.
 */
export async function rebuildGroup(
  work: ChainToWrite,
  chains: readonly FileChain[],
  tools: WriteTools,
): Promise<readonly MadeFile[]> {
  const files = chains.map((chain) => ({ chain, target: targetPath(work, chain.path) }));
  for (const file of files) {
    await work.delta?.makeRoom(file.target);
    await createTarget(file);
  }
  const blocks = await readBlocks(work, chains, tools);
  const planned = files.map(({ chain, target }): PlannedFile => {
    const { newest, increments, base } = chain;
    const sources = increments.map((source) => ({ blocks: blocks.get(source) ?? NONE, limit: source.limit }));
    const whole = { blocks: Math.floor(base.file.size / BLOCK_BYTES), limit: base.limit };
    return { chain, target, plan: planRebuild(newest.increment?.truncation ?? 0, [...sources, whole]) };
  });
  await copyBlocks(work, planned, tools);
  return await finish(work, planned, tools);
}

const NONE = new Uint32Array(0);

interface PlannedFile {
  readonly chain: FileChain;
  readonly target: string;
  readonly plan: RebuildPlan;
}

async function createTarget({ chain, target }: { readonly chain: FileChain; readonly target: string }): Promise<void> {
  try {
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    await (await open(target, flags, 0o600)).close();
  } catch (error) {
    if (systemErrorCode(error) !== 'EEXIST') throw asLocalError(error, `unable to make ${target}`);
    const fact = `the manifest names ${chain.path} twice, or something else writes there`;
    throw new WaldenError('FORMAT_INVALID', fact, { hint: 'choose another backup with --backup, and report this' });
  }
}

/** The numbers of the blocks of every increment. */
async function readBlocks(
  work: ChainToWrite,
  chains: readonly FileChain[],
  tools: WriteTools,
): Promise<ReadonlyMap<LeveledFile, Uint32Array>> {
  const found = new Map<LeveledFile, Uint32Array>();
  const parts = chains.flatMap(({ increments }) => increments).map((source) => headOf(source));
  await workInFlight(spansByLevel(work, parts), work.parallel, tools.signal, async ({ from, span }, signal) => {
    const files = span.parts.map(({ before, frames, source }): IncrementToRead => {
      const { path, size, skip, increment = { blocks: 0, truncation: 0 } } = source.file;
      return { path, size, skip, increment, before, frames };
    });
    const lists = await readSpan({ from, span, tools, signal }, (object, input) =>
      runOnObject(tools.pool, readIncrementsTask, object, (bytes) => ({ ...input, bytes, files })),
    );
    for (const [index, { source }] of span.parts.entries()) found.set(source, lists[index] ?? NONE);
  });
  return found;
}

function headOf(source: LeveledFile): LeveledPart & Pick<IncrementToRead, 'frames'> & { readonly source: LeveledFile } {
  const { pack, offset, increment } = source.file;
  const frames = framesOfHead(source.file, headerBytes(increment?.blocks ?? 0));
  const storedBytes = frames.reduce((sum, [stored]) => sum + stored, 0);
  return { level: source.level, pack, offset, storedBytes, frames, source };
}

async function copyBlocks(work: ChainToWrite, planned: readonly PlannedFile[], tools: WriteTools): Promise<void> {
  const parts = planned.flatMap(({ chain, target, plan }) =>
    [...chain.increments, chain.base].flatMap((source, index) => partsOf(source, target, plan.copies[index] ?? [])),
  );
  await workInFlight(spansByLevel(work, parts), work.parallel, tools.signal, async ({ from, span }, signal) => {
    const files = sourceFiles(span);
    const { bytes } = await readSpan({ from, span, tools, signal }, (object, input) =>
      runOnObject(tools.pool, copyBlocksTask, object, (source) => ({ ...input, bytes: source, files })),
    );
    tools.onWritten(bytes, 0);
  });
}

interface FramePart extends LeveledPart, FrameCopies {
  readonly source: LeveledFile;
  readonly target: string;
}

function partsOf(source: LeveledFile, target: string, copies: readonly Copy[]): readonly FramePart[] {
  const { file, level } = source;
  const begin = file.increment === undefined ? 0 : headerBytes(file.increment.blocks);
  const inFile = copies.map(({ from, ...copy }) => ({ ...copy, from: from + begin }));
  return framesWith(file, inFile).map((frame) => ({ ...frame, level, pack: file.pack, source, target }));
}

/** Frames of one file that stand next to each other go to one. */
function sourceFiles({ parts }: Span<FramePart>): readonly SourceFile[] {
  const files: { source: LeveledFile; target: string; frames: SourceFile['frames'][number][] }[] = [];
  for (const { before, storedBytes, plainBytes, copies, source, target } of parts) {
    const frame = { before, storedBytes, plainBytes, copies: flat(copies) };
    const last = files.at(-1);
    if (last?.source === source) last.frames.push(frame);
    else files.push({ source, target, frames: [frame] });
  }
  return files.map(({ source, target, frames }) => {
    const { path, sha256, skip, size, frames: all } = source.file;
    return { path, target, frames, whole: frames.length === all.length ? { sha256, skip, size } : undefined };
  });
}

function flat(copies: readonly Copy[]): Float64Array {
  return Float64Array.from(copies.flatMap(({ from, to, bytes }) => [from, to, bytes]));
}

interface LeveledPart extends StoredPart {
  readonly level: number;
}

interface SpanToRead<Part> {
  readonly from: BackupToRead;
  readonly span: Span<Part>;
}

function* spansByLevel<Part extends LeveledPart>(
  { chain }: ChainToWrite,
  parts: readonly Part[],
): Generator<SpanToRead<Part>, void, undefined> {
  for (const [level, from] of chain.entries()) {
    for (const span of spansOf(parts.filter((part) => part.level === level))) yield { from, span };
  }
}

async function readSpan<Result>(
  { from, span, tools, signal }: SpanToRead<StoredPart> & { readonly tools: WriteTools; readonly signal: AbortSignal },
  read: (object: Parameters<typeof runOnObject>[2], input: { readonly object: string }) => Promise<Result>,
): Promise<Result> {
  const { start } = from.backup;
  const key = packKey(start.cluster, start.id, span.pack);
  const { offset, storedBytes: length } = span;
  return await readAgain(from, { ...tools, signal }, async ({ driver, name }) =>
    read({ driver, key, offset, length, signal }, { object: `${key} of repository ${name}` }),
  );
}

async function finish(
  work: ChainToWrite,
  planned: readonly PlannedFile[],
  tools: WriteTools,
): Promise<readonly MadeFile[]> {
  const made: MadeFile[] = [];
  await workInFlight(batchesToFinish(planned), work.parallel, tools.signal, async (batch) => {
    const files = batch.map(({ chain, target, plan }): FileToFinish => {
      const { mode, mtime } = chain.newest;
      const zeros = Float64Array.from(plan.zeros.flatMap(({ to, bytes }) => [to, bytes]));
      return { target, mode, mtime, bytes: plan.bytes, zeros };
    });
    const hashes = await tools.pool.run(finishFilesTask, { files, owner: work.owner });
    for (const [index, { chain, plan }] of batch.entries()) {
      const sha256 = hashes[index];
      if (sha256 === undefined) throw new WaldenError('INTERNAL', `${chain.path} was not hashed`);
      made.push({ path: chain.path, size: plan.bytes, mtime: chain.newest.mtime, sha256 });
    }
    tools.onWritten(0, batch.length);
  });
  return made;
}

function* batchesToFinish(planned: readonly PlannedFile[]): Generator<readonly PlannedFile[], void, undefined> {
  let batch: PlannedFile[] = [];
  let bytes = 0;
  for (const file of planned) {
    const { files: maxFiles, bytes: maxBytes } = FINISH_LIMITS;
    if (batch.length >= maxFiles || (batch.length > 0 && bytes + file.plan.bytes > maxBytes)) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(file);
    bytes += file.plan.bytes;
  }
  if (batch.length > 0) yield batch;
}
