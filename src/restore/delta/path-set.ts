import { createHash } from 'node:crypto';

/**
 * Which paths a backup has, as eight bytes of a hash each: it may have millions. That two paths are taken for one is as good
 * as impossible (one in 10^7 with a million of them on either side).
 */
export class PathSet {
  #hashes = new BigUint64Array(1024);
  #size = 0;
  #isSorted = false;

  add(path: string): void {
    if (this.#size === this.#hashes.length) {
      const grown = new BigUint64Array(this.#size * 2);
      grown.set(this.#hashes);
      this.#hashes = grown;
    }
    this.#hashes[this.#size] = hashOf(path);
    this.#size += 1;
    this.#isSorted = false;
  }

  has(path: string): boolean {
    const hashes = this.#sorted();
    const wanted = hashOf(path);
    let [from, to] = [0, hashes.length];
    while (from < to) {
      const middle = (from + to) >> 1;
      const found = hashes[middle] ?? 0n;
      if (found === wanted) return true;
      if (found < wanted) from = middle + 1;
      else to = middle;
    }
    return false;
  }

  /** Whether a path was added twice. */
  hasRepeated(): boolean {
    const hashes = this.#sorted();
    return hashes.some((hash, index) => index > 0 && hash === hashes[index - 1]);
  }

  #sorted(): BigUint64Array {
    const hashes = this.#hashes.subarray(0, this.#size);
    if (!this.#isSorted) hashes.sort();
    this.#isSorted = true;
    return hashes;
  }
}

function hashOf(path: string): bigint {
  return createHash('sha256').update(path).digest().readBigUInt64LE(0);
}
