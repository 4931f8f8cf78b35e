import { readSync } from 'node:fs';
import { localIoError } from '../errors.ts';
import { DATA_PAGE_BYTES, findBadPages } from '../postgres/data-page.ts';
import { relationFileAt } from './exclusions.ts';
import type { BadPage, PageRules } from './pack-input.ts';

/**
 * Tells torn pages from corrupt ones. A page that the server writes while it is read may come in two halves: read again a
 * moment later it is whole. One that stays wrong but says that it was changed after the backup began will be replaced by
 * recovery from a full-page image, so it does no harm either, as long as its LSN is believable: that can be judged only
 * when the backup's end is known, so it is reported. What is older and does not change is corrupt.
 */

const ATTEMPTS = 4;
const PAUSE_MS = 5;

export class PageCheck {
  readonly #descriptor: number;
  readonly #path: string;
  readonly #rules: PageRules;
  readonly #firstBlock: number;

  /** Undefined for files that hold no pages with checksums. */
  static of(path: string, descriptor: number, rules: PageRules | undefined): PageCheck | undefined {
    const relation = rules === undefined ? undefined : relationFileAt(path);
    if (rules === undefined || relation === undefined) return undefined;
    return new PageCheck(descriptor, path, rules, relation.segment * rules.segmentBlocks);
  }

  private constructor(descriptor: number, path: string, rules: PageRules, firstBlock: number) {
    this.#descriptor = descriptor;
    this.#path = path;
    this.#rules = rules;
    this.#firstBlock = firstBlock;
  }

  /** `bytes` were read at `offset`, a multiple of the page size; pages that were torn are replaced in place. */
  check(bytes: Buffer, offset: number): BadPage[] {
    const pages = bytes.subarray(0, bytes.byteLength - (bytes.byteLength % DATA_PAGE_BYTES));
    const fileBlock = offset / DATA_PAGE_BYTES;
    let suspects: Suspect[] = findBadPages(pages, this.#firstBlock + fileBlock).map((block) => {
      const inChunk = block - this.#firstBlock - fileBlock;
      const page = pages.subarray(inChunk * DATA_PAGE_BYTES, (inChunk + 1) * DATA_PAGE_BYTES);
      return { block: fileBlock + inChunk, page, changed: false };
    });
    for (let attempt = 0; attempt < ATTEMPTS && suspects.length > 0; attempt += 1) {
      pause();
      suspects = suspects.filter((suspect) => this.#isStillBad(suspect));
    }
    return suspects
      .filter(({ changed }) => !changed)
      .map(({ block, page }) => judgePage({ path: this.#path, block }, page, this.#rules));
  }

  #isStillBad(suspect: Suspect): boolean {
    const before = Buffer.from(suspect.page);
    const length = this.#read(suspect.page, suspect.block * DATA_PAGE_BYTES);
    // Cut off in the meantime: the WAL tells recovery the same.
    if (length < DATA_PAGE_BYTES) suspect.page.fill(0, length);
    suspect.changed ||= !before.equals(suspect.page);
    return findBadPages(suspect.page, this.#firstBlock + suspect.block).length > 0;
  }

  #read(page: Buffer, position: number): number {
    try {
      return readSync(this.#descriptor, page, 0, DATA_PAGE_BYTES, position);
    } catch (error) {
      throw localIoError(error, `unable to read ${this.#path} again`);
    }
  }
}

/** What is to be said of a page whose checksum stays wrong. Pure. */
export function judgePage(
  { path, block }: Pick<BadPage, 'path' | 'block'>,
  page: Buffer,
  { startLsn }: PageRules,
): BadPage {
  // PageHeaderData begins with pd_lsn, as two 32-bit numbers, the high one first (bufpage.h).
  const lsn = (BigInt(page.readUInt32LE(0)) << 32n) | BigInt(page.readUInt32LE(4));
  return { path, block, lsn: lsn > startLsn ? lsn : undefined };
}

interface Suspect {
  /** In the file. */
  readonly block: number;
  readonly page: Buffer;
  changed: boolean;
}

const pauseCell = new Int32Array(new SharedArrayBuffer(4));

/** Blocks this worker thread, which has nothing else to do: the server is in the middle of a write. */
function pause(): void {
  Atomics.wait(pauseCell, 0, 0, PAUSE_MS);
}
