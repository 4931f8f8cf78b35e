import { readdirSync, readFileSync } from 'node:fs';

/** What a contender's processes use, read from /proc: Linux only. */

/** Clock ticks of /proc per second: USER_HZ, 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;
const SAMPLE_MS = 20;

interface Process {
  /** Process id and start time, since ids come round. */
  readonly key: string;
  readonly pid: number;
  readonly parent: number;
  /** Of itself and of the children it has waited for, in seconds. */
  readonly cpu: number;
  readonly words: string;
}

export interface Usage {
  readonly cpuSeconds: number;
  /** Resident memory of all of them at the same moment, at most. Bytes. */
  readonly peakBytes: number;
}

/**
 * Watches every process that `belongs` accepts by its command line, from now to `stop()`. Processes live on between samples
 * in their parents' account once these have waited for them, so short ones are not lost.
 */
export class UsageMeter {
  readonly #belongs: (words: string, pid: number) => boolean;
  readonly #first = new Map<string, number>();
  readonly #last = new Map<string, number>();
  readonly #timer: NodeJS.Timeout;
  #peakBytes = 0;

  constructor(belongs: (words: string, pid: number) => boolean) {
    this.#belongs = belongs;
    // Those that run already have used what they used for something else; those that come later begin at zero.
    for (const { key, cpu } of this.#roots(false)) this.#first.set(key, cpu);
    this.#timer = setInterval(() => {
      this.#sample();
    }, SAMPLE_MS);
  }

  stop(): Usage {
    clearInterval(this.#timer);
    this.#sample();
    let cpuSeconds = 0;
    for (const [key, cpu] of this.#last) cpuSeconds += cpu - (this.#first.get(key) ?? 0);
    return { cpuSeconds, peakBytes: this.#peakBytes };
  }

  #sample(): void {
    for (const { key, cpu } of this.#roots(true)) this.#last.set(key, cpu);
  }

  /** The processes that belong and whose parents do not: these have the account of the others, in the end. */
  #roots(measureMemory: boolean): readonly Process[] {
    const all = processes();
    const mine = all.filter(({ words, pid }) => this.#belongs(words, pid));
    const ids = new Set(mine.map(({ pid }) => pid));
    if (measureMemory) {
      const bytes = mine.reduce((sum, { pid }) => sum + residentBytes(pid), 0);
      this.#peakBytes = Math.max(this.#peakBytes, bytes);
    }
    return mine.filter(({ parent }) => !ids.has(parent));
  }
}

function processes(): readonly Process[] {
  return readdirSync('/proc').flatMap((entry) => {
    if (!/^\d+$/.test(entry)) return [];
    try {
      const text = readFileSync(`/proc/${entry}/stat`, 'utf8');
      // `pid (name) state ppid …`: the name may hold anything. See proc(5).
      const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
      const ticks = [11, 12, 13, 14].reduce((sum, index) => sum + Number(fields[index]), 0);
      const words = readFileSync(`/proc/${entry}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
      const pid = Number(entry);
      return [{ key: `${entry} ${fields[19]}`, pid, parent: Number(fields[1]), cpu: ticks / TICKS_PER_SECOND, words }];
    } catch {
      // It ended between the listing and the reading.
      return [];
    }
  });
}

function residentBytes(pid: number): number {
  try {
    // The second field: resident pages, shared ones among them.
    return Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]) * 4096;
  } catch {
    return 0;
  }
}
