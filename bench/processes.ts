import { readdirSync, readFileSync } from 'node:fs';

/** What a contender's processes use, read from /proc: Linux only. */

/** Clock ticks of /proc per second: USER_HZ, 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;
const SAMPLE_MS = 50;
/** A process may become another program soon after its start; by then it has. */
const SETTLED_SIGHTS = 3;

interface Process {
  /** Process id and start time, since ids come round. */
  readonly key: string;
  readonly pid: number;
  /** Seconds of its own, and of the children that it has waited for. */
  readonly own: number;
  readonly reaped: number;
  readonly words: string;
}

/**
 * Whose account a process is on: 'own' counts what it used itself, 'with-children' also the short-lived children that it
 * waited for, which a sample would miss.
 */
export type Account = 'own' | 'with-children' | undefined;

export interface Usage {
  readonly cpuSeconds: number;
  /** Resident memory of all that count as 'own', at the same moment, at most. Bytes. */
  readonly peakBytes: number;
}

/** Watches every process that `accountOf` names, from now to `stop()`. */
export class UsageMeter {
  readonly #accountOf: (words: string, pid: number) => Account;
  readonly #first = new Map<string, number>();
  readonly #last = new Map<string, number>();
  readonly #timer: NodeJS.Timeout;
  readonly #processes = new ProcessTable();
  #peakBytes = 0;

  constructor(accountOf: (words: string, pid: number) => Account) {
    this.#accountOf = accountOf;
    // Those that run already have used what they used for something else; those that come later begin at zero.
    this.#sample(this.#first);
    this.#timer = setInterval(() => {
      this.#sample(this.#last);
    }, SAMPLE_MS);
  }

  stop(): Usage {
    clearInterval(this.#timer);
    this.#sample(this.#last);
    let cpuSeconds = 0;
    for (const [key, cpu] of this.#last) cpuSeconds += cpu - (this.#first.get(key) ?? 0);
    return { cpuSeconds, peakBytes: this.#peakBytes };
  }

  #sample(into: Map<string, number>): void {
    let bytes = 0;
    for (const { key, pid, own, reaped, words } of this.#processes.all()) {
      const account = this.#accountOf(words, pid);
      if (account === undefined) continue;
      into.set(key, account === 'own' ? own : own + reaped);
      if (account === 'own') bytes += residentBytes(pid);
    }
    this.#peakBytes = Math.max(this.#peakBytes, bytes);
  }
}

/** Looks at few files as often as it is asked: what it takes itself is taken from those it watches. */
class ProcessTable {
  readonly #known = new Map<string, { words: string; sights: number }>();
  readonly #ofKernel = new Set<string>();

  all(): readonly Process[] {
    return readdirSync('/proc').flatMap((entry) => {
      if (!/^\d+$/.test(entry) || this.#ofKernel.has(entry)) return [];
      try {
        return this.#look(entry);
      } catch {
        // It ended between the listing and the reading.
        return [];
      }
    });
  }

  #look(entry: string): readonly Process[] {
    const text = readFileSync(`/proc/${entry}/stat`, 'latin1');
    // `pid (name) state ppid …`: the name may hold anything. See proc(5).
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    if (fields[1] === '2') {
      this.#ofKernel.add(entry);
      return [];
    }
    const seconds = (from: number): number => (Number(fields[from]) + Number(fields[from + 1])) / TICKS_PER_SECOND;
    const key = `${entry} ${fields[19] ?? ''}`;
    return [{ key, pid: Number(entry), own: seconds(11), reaped: seconds(13), words: this.#words(key, entry) }];
  }

  #words(key: string, entry: string): string {
    const known = this.#known.get(key) ?? { words: '', sights: 0 };
    if (known.sights >= SETTLED_SIGHTS) return known.words;
    const words = readFileSync(`/proc/${entry}/cmdline`, 'latin1').replaceAll('\0', ' ').trim();
    this.#known.set(key, { words, sights: words === known.words ? known.sights + 1 : 0 });
    return words;
  }
}

function residentBytes(pid: number): number {
  try {
    // The second field: resident pages, shared ones among them.
    return Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]) * 4096;
  } catch {
    return 0;
  }
}

/** The most that a process has had resident since its start. Bytes. */
export function peakResidentBytes(pid: number): number {
  const kibibytes = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kibibytes) * 1024;
}

/** What the children that this process has waited for have used so far. */
export function cpuSecondsOfChildren(): number {
  const own = new ProcessTable().all().find(({ pid }) => pid === process.pid);
  return own?.reaped ?? Number.NaN;
}
