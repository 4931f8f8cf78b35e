import type { Clock } from '../platform/clock.ts';
import { DONE_BYTES } from './pack-input.ts';

export interface BackupProgress {
  /** In words, for people. */
  readonly phase: string;
  readonly doneBytes: number;
  /** As counted before the copy; a cluster in use may grow beyond it. */
  readonly totalBytes: number;
  readonly files: number;
  /** Since the copy began. */
  readonly bytesPerSecond: number;
}

/** Gathers what is known of a running backup and tells it. */
export class ProgressReport {
  readonly #clock: Clock;
  readonly #control: BigInt64Array;
  readonly #tell: (progress: BackupProgress) => void;
  #phase = 'checking';
  #totalBytes = 0;
  #files = 0;
  #copyStart: number | undefined;
  #bytesPerSecond = 0;

  constructor(clock: Clock, control: BigInt64Array, tell: (progress: BackupProgress) => void) {
    this.#clock = clock;
    this.#control = control;
    this.#tell = tell;
  }

  enter(phase: string): void {
    this.#phase = phase;
    this.report();
  }

  beginCopy(totalBytes: number): void {
    this.#totalBytes = totalBytes;
    this.#copyStart = this.#clock.now().getTime();
    this.enter('copying');
  }

  addFiles(count: number): void {
    this.#files += count;
  }

  report(): void {
    const doneBytes = Number(Atomics.load(this.#control, DONE_BYTES));
    if (this.#phase === 'copying' && this.#copyStart !== undefined) {
      const seconds = (this.#clock.now().getTime() - this.#copyStart) / 1000;
      this.#bytesPerSecond = seconds > 0 ? Math.round(doneBytes / seconds) : 0;
    }
    this.#tell({
      phase: this.#phase,
      doneBytes,
      totalBytes: Math.max(this.#totalBytes, doneBytes),
      files: this.#files,
      bytesPerSecond: this.#bytesPerSecond,
    });
  }
}
