import { createHash } from 'node:crypto';
import { WaldenError } from '../../src/errors.ts';
import { crc32cOf } from '../../src/postgres/crc32c-bytes.ts';

/** `crc32c`: its four bytes, the highest first. */
export type Algorithm = 'sha256' | 'md5' | 'crc32c';

/** In hex, lower case; those that were asked for. */
export type Digests = Readonly<Partial<Record<Algorithm, string>>>;

/** As stores take it. @throws INTERNAL when nobody asked for it: nothing may go up without the checksum that it should have */
export function base64Of(digests: Digests, algorithm: Algorithm): string {
  const hex = digests[algorithm];
  if (hex === undefined) throw new WaldenError('INTERNAL', `the ${algorithm} of an upload is not known`);
  return Buffer.from(hex, 'hex').toString('base64');
}

/** What is to be known of a body. */
export interface WantedDigests {
  /** Of all of it. */
  readonly whole?: readonly Algorithm[];
  /** Of each piece by itself. */
  readonly each?: readonly Algorithm[];
}

/** Hashes of a body that passes piece by piece, on this thread. */
export class RunningDigests {
  readonly #whole: ReadonlyMap<Algorithm, RunningDigest>;
  readonly #each: readonly Algorithm[];

  constructor({ whole = [], each = [] }: WantedDigests) {
    this.#whole = new Map(whole.map((algorithm) => [algorithm, begin(algorithm)]));
    this.#each = each;
  }

  /** The digests of this piece by itself. */
  add(bytes: Uint8Array): Digests {
    for (const hash of this.#whole.values()) hash.update(bytes);
    return Object.fromEntries(
      this.#each.map((algorithm) => {
        const digest = begin(algorithm);
        digest.update(bytes);
        return [algorithm, digest.hex()];
      }),
    );
  }

  /** Those of the whole, once. */
  finish(): Digests {
    return Object.fromEntries([...this.#whole].map(([algorithm, hash]) => [algorithm, hash.hex()]));
  }
}

interface RunningDigest {
  update(bytes: Uint8Array): void;
  /** Once. */
  hex(): string;
}

function begin(algorithm: Algorithm): RunningDigest {
  if (algorithm === 'crc32c') return new Crc32c();
  const hash = createHash(algorithm);
  return {
    update: (bytes) => void hash.update(bytes),
    hex: () => hash.digest('hex'),
  };
}

class Crc32c implements RunningDigest {
  #crc = 0;

  update(bytes: Uint8Array): void {
    this.#crc = crc32cOf(bytes, this.#crc);
  }

  hex(): string {
    return (this.#crc >>> 0).toString(16).padStart(8, '0');
  }
}
