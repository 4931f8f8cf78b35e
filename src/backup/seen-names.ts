import { parseRelationFile, type RelationFile } from './exclusions.ts';

/** Relations whose marks stand together: numbers are given out one after the other. */
const PAGE_RELATIONS = 256;
const FORKS: Readonly<Record<RelationFile['fork'], number>> = { main: 1, fsm: 2, vm: 4, init: 8 };

/**
 * The names of one directory that came already. The hundreds of thousands that the directory of a database may hold are
 * nearly all relation files: of these only a bit each is kept, so that memory does not grow with them.
 */
export class SeenNames {
  readonly #relations = new Map<number, Uint8Array>();
  readonly #others = new Set<string>();

  /** Whether the name is new. */
  add(name: string): boolean {
    const relation = parseRelationFile(name);
    // `007` is not the relation 7. Few relations are large enough for segments, of which 0 is not written: `7.0` is not `7`.
    if (relation === undefined || name.includes('.') || !isPlainNumber(relation.number)) return this.#addOther(name);
    const number = Number(relation.number);
    const page = Math.floor(number / PAGE_RELATIONS);
    let marks = this.#relations.get(page);
    if (marks === undefined) {
      marks = new Uint8Array(PAGE_RELATIONS);
      this.#relations.set(page, marks);
    }
    const at = number % PAGE_RELATIONS;
    const bit = FORKS[relation.fork];
    const known = marks[at] ?? 0;
    marks[at] = known | bit;
    return (known & bit) === 0;
  }

  #addOther(name: string): boolean {
    const before = this.#others.size;
    return this.#others.add(name).size > before;
  }
}

function isPlainNumber(digits: string): boolean {
  return String(Number(digits)) === digits;
}
