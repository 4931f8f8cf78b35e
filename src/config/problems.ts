import { WaldenError } from '../errors.ts';

/** One thing that is wrong in a configuration file. */
export interface ConfigProblem {
  /** From 1; undefined when it concerns the whole file. */
  readonly line: number | undefined;
  /** `cluster.main.conninfo`; undefined when it concerns no key. */
  readonly key: string | undefined;
  readonly fact: string;
}

/** Collects everything that is wrong in one file, so that it is told at once. */
export class ConfigProblems {
  readonly #source: string;
  readonly #found: ConfigProblem[] = [];

  constructor(source: string) {
    this.#source = source;
  }

  add(line: number | undefined, key: string | undefined, fact: string): void {
    this.#found.push({ line, key, fact });
  }

  /** @throws CONFIG_INVALID when anything was added; the lines stand in the order of the file. */
  throwIfAny(): void {
    if (this.#found.length === 0) return;
    const problems = this.#found.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0));
    const lines = problems.map((problem) => this.#describe(problem));
    const message =
      lines.length === 1 ? lines.join('') : `${this.#source} has ${lines.length} errors\n  ${lines.join('\n  ')}`;
    throw new WaldenError('CONFIG_INVALID', message, { details: { source: this.#source, problems } });
  }

  #describe({ line, key, fact }: ConfigProblem): string {
    const place = line === undefined ? this.#source : `${this.#source}:${line}`;
    return key === undefined ? `${place}: ${fact}` : `${place}: ${key}: ${fact}`;
  }
}

/** Words for a message about an unknown word: ` (did you mean "socket"?)`, or the empty text. */
export function didYouMean(word: string, known: Iterable<string>): string {
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(word.length / 3)) + 1;
  for (const candidate of known) {
    const distance = editDistance(word.toLowerCase(), candidate);
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best === undefined ? '' : ` (did you mean "${best}"?)`;
}

/** Levenshtein's distance. */
function editDistance(from: string, to: string): number {
  let previous = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (const [row, letter] of Array.from(from).entries()) {
    const current = [row + 1];
    for (const [column, other] of Array.from(to).entries()) {
      const replaced = (previous[column] ?? 0) + (letter === other ? 0 : 1);
      current.push(Math.min(replaced, (previous[column + 1] ?? 0) + 1, (current[column] ?? 0) + 1));
    }
    previous = current;
  }
  return previous.at(-1) ?? 0;
}
