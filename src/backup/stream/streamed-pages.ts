import { DATA_PAGE_BYTES, findBadPages } from '../../postgres/data-page.ts';
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
