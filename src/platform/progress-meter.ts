import type { Clock } from './clock.ts';

export interface WorkProgress {
  /** What is being done. */
  readonly phase: string;
  readonly doneBytes: number;
  readonly totalBytes: number;
  readonly files: number;
  /** Since the beginning. */
  readonly bytesPerSecond: number;
}

/** Counts what became durable and tells it. */
export class ProgressMeter {
  readonly #clock: Clock;
  #totalBytes: number;
  readonly #tell: (progress: WorkProgress) => void;
  readonly #startedAt: number;
  #phase = '';
  #doneBytes = 0;
  #files = 0;

  constructor(clock: Clock, totalBytes: number, tell: (progress: WorkProgress) => void) {
    this.#clock = clock;
    this.#totalBytes = totalBytes;
    this.#tell = tell;
    this.#startedAt = clock.now().getTime();
  }

  phase(name: string): void {
    this.#phase = name;
    this.#report();
  }

  /** So much is to be done in all, where that is known only now. */
  expect(totalBytes: number): void {
    this.#totalBytes = totalBytes;
  }

  add(bytes: number, files: number): void {
    this.#doneBytes += bytes;
    this.#files += files;
    this.#report();
  }

  #report(): void {
    const seconds = (this.#clock.now().getTime() - this.#startedAt) / 1000;
    this.#tell({
      phase: this.#phase,
      doneBytes: this.#doneBytes,
      totalBytes: this.#totalBytes,
      files: this.#files,
      bytesPerSecond: seconds > 0 ? this.#doneBytes / seconds : 0,
    });
  }
}
