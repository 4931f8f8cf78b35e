import { DATA_PAGE_BYTES, findBadPages } from '../../postgres/data-page.ts';
import { headerBytes, isIncrementPath, parseIncrementBlocks, wholePath } from '../../postgres/incremental-file.ts';
import { relationFileAt } from '../exclusions.ts';
import { judgePage } from '../page-check.ts';
import type { BadPage, PageRules } from '../pack-input.ts';

/**
 * The pages with a wrong checksum in a part of a file that begins at `offset`, a multiple of the page size. None of it can be
 * read again: which of them were only torn is what the server knows, which reads them again and says at the end of the backup
 * whether any was corrupt. Pure.
 */
export function badPagesIn(
  { path, offset }: { readonly path: string; readonly offset: number },
  bytes: Uint8Array,
  rules: PageRules | undefined,
): readonly BadPage[] {
  const relation = rules === undefined ? undefined : relationFileAt(path);
  if (rules === undefined || relation === undefined) return [];
  const fileBlock = offset / DATA_PAGE_BYTES;
  const firstBlock = relation.segment * rules.segmentBlocks + fileBlock;
  return findBadPages(bytes, firstBlock).map((block) => {
    const at = (block - firstBlock) * DATA_PAGE_BYTES;
    const page = Buffer.from(bytes.subarray(at, at + DATA_PAGE_BYTES));
    return judgePage({ path, block: fileBlock + block - firstBlock }, page, rules);
  });
}

/** The same of a whole increment. Their blocks are named as those of the file that they are of. @throws FORMAT_INVALID */
export function badPagesInIncrement(path: string, bytes: Uint8Array, rules: PageRules | undefined): readonly BadPage[] {
  if (rules === undefined || !isIncrementPath(path)) return [];
  const blocks = parseIncrementBlocks(bytes, bytes.byteLength, path);
  return badPagesOfBlocks(path, blocks, bytes.subarray(headerBytes(blocks.length)), rules);
}

/** The same of some of an increment's blocks, of which `pages` holds one after the other. */
export function badPagesOfBlocks(
  path: string,
  blocks: ArrayLike<number>,
  pages: Uint8Array,
  rules: PageRules | undefined,
): readonly BadPage[] {
  const whole = wholePath(path);
  const bad: BadPage[] = [];
  for (let at = 0; at < blocks.length;) {
    const first = blocks[at] ?? 0;
    let count = 1;
    while (at + count < blocks.length && blocks[at + count] === first + count) count += 1;
    const bytes = pages.subarray(at * DATA_PAGE_BYTES, (at + count) * DATA_PAGE_BYTES);
    bad.push(...badPagesIn({ path: whole, offset: first * DATA_PAGE_BYTES }, bytes, rules));
    at += count;
  }
  return bad;
}
