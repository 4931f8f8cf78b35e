import { Worker } from 'node:worker_threads';
import { errorFromDocument, WaldenError } from '../../errors.ts';
import { withDeadline } from '../../platform/deadline.ts';
import type { FromReader, ReaderOutcome, ReaderSetup, ToReader } from './reader-messages.ts';
import type { FilledUnit } from './unit.ts';

const YOUNG_GENERATION_MB = 4;
/** Ends by itself when it is told to stop, unless it hangs in a write to the disk. */
const STOP_MS = 10_000;

export interface ReaderListeners {
  readonly began: (facts: Extract<FromReader, { kind: 'began' }>) => void;
  /** The room is the listener's until `free` gives it back. */
  readonly unit: (unit: FilledUnit) => void;
  readonly judged: () => void;
  readonly notice: (text: string) => void;
}

/**
 * The thread that reads a base backup from the server (read-base-backup.ts). It takes the socket, the archives and the hashes
 * off the main thread, which has everybody's requests to answer.
 */
export class ReaderThread {
  readonly #worker: Worker;
  readonly #exited: Promise<void>;
  /** @throws what the reading threw */
  readonly outcome: Promise<ReaderOutcome>;

  constructor(setup: ReaderSetup, listeners: ReaderListeners) {
    const worker = new Worker(new URL('./reader-worker.js', import.meta.url), {
      workerData: setup,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
    });
    this.#worker = worker;
    this.#exited = new Promise((resolve) => {
      worker.once('exit', () => {
        resolve();
      });
    });
    this.outcome = new Promise((resolve, reject) => {
      worker.on('message', (message: FromReader) => {
        if (message.kind === 'began') listeners.began(message);
        else if (message.kind === 'unit') listeners.unit(message.unit);
        else if (message.kind === 'judged') listeners.judged();
        else if (message.kind === 'notice') listeners.notice(message.text);
        else if (message.kind === 'ended') resolve(message.outcome);
        else reject(errorFromDocument(message.error));
      });
      worker.once('error', (cause) => {
        reject(
          new WaldenError('INTERNAL', `the thread that reads the base backup failed: ${cause.message}`, { cause }),
        );
      });
      worker.once('exit', () => {
        reject(new WaldenError('INTERNAL', 'the thread that reads the base backup ended without a word'));
      });
    });
    // Whoever waits for it hears of a failure; until then it must not count as unhandled.
    this.outcome.catch(() => undefined);
  }

  /** Nobody reads this room any more. */
  free(room: number): void {
    this.#tell({ kind: 'free', room });
  }

  /** Breaks the connection off and waits for the end of the thread. May be called again, and after its end. */
  async stop(): Promise<void> {
    this.#tell({ kind: 'stop' });
    try {
      await withDeadline(this.#exited, STOP_MS, () => new Error('late'));
    } catch {
      // It hangs: nothing of what it does is needed any more.
      await this.#worker.terminate();
    }
  }

  #tell(message: ToReader): void {
    this.#worker.postMessage(message);
  }
}
