import { basename, dirname, resolve } from 'node:path';
import { WaldenError } from '../../src/errors.ts';
import { openHeader, type OpenedHeader } from './header.ts';
import { type KeyFile, readKeyFile } from './key-file.ts';
import type { ObjectKeys } from './object-keys.ts';

/** Keys that an operator named one by one, to read what is encrypted to them: nothing is stored with these. */
export class KeyFiles implements ObjectKeys {
  readonly #paths: readonly string[];
  readonly #files: readonly KeyFile[];

  /** @throws KEY_REFUSED as for the keys of a configuration: others may read one, it is not ours, or it holds no key */
  static async read(paths: readonly string[]): Promise<KeyFiles> {
    const whole = paths.map((path) => resolve(path));
    return new KeyFiles(whole, await Promise.all(whole.map((path) => readKeyFile(dirname(path), basename(path)))));
  }

  private constructor(paths: readonly string[], files: readonly KeyFile[]) {
    this.#paths = paths;
    this.#files = files;
  }

  seal(): Promise<never> {
    return Promise.reject(new WaldenError('KEY_MISSING', 'the keys that were named are for reading only'));
  }

  /** @throws KEY_MISSING when none of them opens it, CHECKSUM_MISMATCH */
  async open(header: Uint8Array, what: string): Promise<OpenedHeader> {
    const identities = this.#files.map(({ identity }) => identity);
    const opened = await openHeader(header, identities, what);
    if (opened !== undefined) return opened;
    throw new WaldenError('KEY_MISSING', `${what} is encrypted, and no key here opens it (${this.#paths.join(', ')})`, {
      hint: 'name the key that was kept for this repository: --key-file FILE',
    });
  }
}
