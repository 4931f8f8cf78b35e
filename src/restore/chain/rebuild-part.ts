import { BLOCK_BYTES } from '../../postgres/incremental-file.ts';
import { batchesOf } from '../batches.ts';
import { workInFlight, type WriteTools } from '../in-flight.ts';
import { restoreBatch } from '../write-files.ts';
import type { FileChain } from './chain-index.ts';
import type { MadeFile } from './new-manifest.ts';
import { rebuildGroup } from './rebuild-group.ts';
import type { ChainToWrite } from './rebuild-files.ts';

/** What is put together at a time: the numbers of blocks are in memory, and the bytes, it is hoped, in the page cache. */
const GROUP_LIMITS = { files: 2000, blocks: 4 * 1024 * 1024, bytes: 4 * 1024 * 1024 * 1024 };

/** Makes the files of these chains, durable when they are handed out. @throws as rebuildFiles */
export async function* rebuildPart(
  work: ChainToWrite,
  chains: readonly FileChain[],
  tools: WriteTools,
): AsyncGenerator<readonly MadeFile[], void, undefined> {
  yield* copyUnchanged(work, chains.filter(isUnchanged), tools);
  const changed = chains.filter((chain) => !isUnchanged(chain));
  for (const group of groupsOf(changed)) yield await rebuildGroup(work, group, tools);
}

/** Whether it is, byte for byte, what its first whole file is: as most are, and the hash of that is known. */
function isUnchanged({ newest, increments, base }: FileChain): boolean {
  const length = newest.increment?.truncation ?? 0;
  return increments.length === 0 && base.limit === length && base.file.size === length * BLOCK_BYTES;
}

async function* copyUnchanged(
  work: ChainToWrite,
  chains: readonly FileChain[],
  tools: WriteTools,
): AsyncGenerator<readonly MadeFile[], void, undefined> {
  for (const [level, from] of work.chain.entries()) {
    const files = chains
      .filter(({ base }) => base.level === level)
      .map(({ path, newest, base }) => ({ ...base.file, path, mode: newest.mode, mtime: newest.mtime }))
      .sort((a, b) => a.pack - b.pack || a.offset - b.offset);
    const left = (await work.delta?.leftOf(files)) ?? files;
    await workInFlight(batchesOf(left), work.parallel, tools.signal, async (batch, signal) => {
      const written = await restoreBatch(from, batch, work, { ...tools, signal });
      tools.onWritten(written.bytes, written.files);
    });
    yield files;
  }
}

function* groupsOf(chains: readonly FileChain[]): Generator<readonly FileChain[], void, undefined> {
  let group: FileChain[] = [];
  let [blocks, bytes] = [0, 0];
  for (const chain of chains) {
    const own = chain.increments.reduce((sum, { file }) => sum + (file.increment?.blocks ?? 0), 0);
    const length = (chain.newest.increment?.truncation ?? 0) * BLOCK_BYTES;
    const { files: maxFiles, blocks: maxBlocks, bytes: maxBytes } = GROUP_LIMITS;
    const fits = group.length < maxFiles && blocks + own <= maxBlocks && bytes + length <= maxBytes;
    if (!fits && group.length > 0) {
      yield group;
      group = [];
      [blocks, bytes] = [0, 0];
    }
    group.push(chain);
    blocks += own;
    bytes += length;
  }
  if (group.length > 0) yield group;
}
