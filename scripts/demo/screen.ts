/** How the demo talks: numbered steps with times, and sizes that a person can read. */

export function formatBytes(bytes: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? value.toFixed(0) : value.toFixed(1)} ${units[unit] ?? ''}`;
}

export function formatCount(count: number | string): string {
  return Number(count).toLocaleString('en-US');
}

export class Screen {
  readonly #write: (text: string) => void;
  #step = 0;
  #current: string | undefined;

  constructor(write: (text: string) => void) {
    this.#write = write;
  }

  /** What is being done right now, for the message of a failure. */
  get current(): string | undefined {
    return this.#current;
  }

  line(text = ''): void {
    this.#write(`${text}\n`);
  }

  /** A line below the last step. */
  detail(text: string): void {
    this.line(`    ${text}`);
  }

  /** Does the work and then says what it was and how long it took. */
  async step<T>(title: string, work: () => Promise<T>): Promise<T> {
    this.#current = title;
    const started = performance.now();
    const result = await work();
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    this.#step += 1;
    this.line(`${String(this.#step).padStart(2)}  ${title.padEnd(72)} ${seconds.padStart(5)} s`);
    this.#current = undefined;
    return result;
  }
}
