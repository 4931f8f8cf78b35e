import { isWaldenError, toWaldenError, WaldenError } from '../errors.ts';

/** Of so many it is told which. */
const NAMED = 100;

/** What concerns one object and must not keep the others back. */
const OF_ONE_OBJECT = [
  'CHECKSUM_MISMATCH',
  'FORMAT_INVALID',
  'FORMAT_TOO_NEW',
  'STORAGE_OBJECT_MISSING',
  'STORAGE_OBJECT_EXISTS',
  'STORAGE_SIZE',
  'SERVER_MISMATCH',
  'ARCHIVE_DUPLICATE',
  'ARCHIVE_GAP',
  'BACKUP_INVALID',
] as const;

/** Objects with which something was wrong, while all others were worked on. */
export class ObjectProblems {
  readonly #named: string[] = [];
  #first: WaldenError | undefined;
  #count = 0;

  /** @throws the error itself when it concerns more than one object */
  add(object: string, thrown: unknown): void {
    if (!isWaldenError(thrown, ...OF_ONE_OBJECT)) throw toWaldenError(thrown);
    this.#first ??= thrown;
    this.#count += 1;
    if (this.#named.length < NAMED) this.#named.push(`${object}: ${thrown.message}`);
  }

  /** @throws what went wrong first, with the number of objects and, in `details.problems`, the first hundred by name */
  throwIfAny(what: string): void {
    if (this.#first === undefined) return;
    const objects = this.#count === 1 ? '1 object' : `${this.#count} objects`;
    throw new WaldenError(this.#first.code, `${objects} could not be ${what}; the first: ${this.#named[0] ?? ''}`, {
      hint: this.#first.hint,
      details: { problems: this.#named },
    });
  }
}
