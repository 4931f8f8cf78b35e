import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What service-times.ts writes inside a service, read from outside. */
export class ServiceTimesLog {
  readonly #path: string;

  constructor(directory: string) {
    this.#path = join(directory, 'times');
    writeFileSync(this.#path, '');
  }

  /** To stand before the program of the service. */
  get words(): readonly string[] {
    const preload = new URL('./service-times.js', import.meta.url).href;
    return ['env', `NODE_OPTIONS=--import=${preload}`, `WALDEN_BENCH_TIMES=${this.#path}`];
  }

  forget(): void {
    truncateSync(this.#path);
  }

  /** Milliseconds since `forget`, in the order of their ends. */
  of(what: string): readonly number[] {
    const lines = readFileSync(this.#path, 'utf8').trimEnd().split('\n');
    return lines.flatMap((line) => {
      const [name, millis] = line.split('\t');
      return name === what ? [Number(millis)] : [];
    });
  }
}
