import { WaldenError } from '../errors.ts';
import { type Clock, systemClock } from '../platform/clock.ts';

/** What main.ts reads from the process and hands down; nothing else in src/cli looks at the process. */
export interface CliWorld {
  /** Without node and the program. */
  readonly arguments: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly workingDirectory: string;
  readonly stdin: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  readonly stdout: CliStream;
  readonly stderr: CliStream;
  /** Calls back at each SIGINT and SIGTERM, which then no longer end the process by themselves. */
  onSignal(listener: (name: string) => void): void;
  /** Ends the process at once. */
  leave(status: number): void;
}

export type CliStream = NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };

/** One run of the program, as the commands see it. */
export class Cli {
  readonly world: CliWorld;
  readonly clock: Clock;
  /** Whether results are one JSON document on stdout. */
  readonly json: boolean;
  exitStatus = 0;
  #statusOfFailure: (error: WaldenError) => number = (error) => error.exitCode;
  #interruption: AbortController | undefined;

  constructor(world: CliWorld, clock: Clock = systemClock) {
    this.world = world;
    this.clock = clock;
    this.json = world.arguments.includes('--json');
  }

  /** Text for people. */
  print(text: string): void {
    this.world.stdout.write(`${text}\n`);
  }

  /** A remark that does not belong to the result. */
  remark(text: string): void {
    this.world.stderr.write(`${text}\n`);
  }

  /** The result: a JSON document with `format: 1` where asked for, else what `render` makes of it. */
  result<T extends object>(document: T, render: (document: T) => string): void {
    this.print(this.json ? JSON.stringify({ format: 1, ...document }, null, 2) : render(document));
  }

  /** Width for tables: the terminal's, or as wide as it gets where nobody looks. */
  get columns(): number {
    return this.world.stdout.isTTY === true ? (this.world.stdout.columns ?? 80) : Number.POSITIVE_INFINITY;
  }

  /**
   * From the first call on, the first SIGINT or SIGTERM aborts this signal, and a SIGINT after that leaves at once. A second
   * SIGTERM does not: timeout(1) and some supervisors send it to the process and to its group.
   */
  interruption(): AbortSignal {
    if (this.#interruption === undefined) {
      const controller = new AbortController();
      this.#interruption = controller;
      this.world.onSignal((name) => {
        const error = new WaldenError('INTERRUPTED', `interrupted by ${name}`);
        if (controller.signal.aborted && name === 'SIGINT') this.world.leave(error.exitCode);
        controller.abort(error);
      });
    }
    return this.#interruption.signal;
  }

  /** For a command whose caller reads exit statuses in its own way. Holds for every later failure, wrong usage too. */
  failWith(statusOf: (error: WaldenError) => number): void {
    this.#statusOfFailure = statusOf;
  }

  /** Tells a failure and decides the exit status. */
  fail(error: WaldenError): void {
    this.remark(`walden: ${error.message}`);
    this.remark(`HINT: ${error.hint}`);
    const { code, message, hint, details } = error;
    if (code === 'INTERNAL') this.remark(stackOf(error));
    if (this.json) this.print(JSON.stringify({ format: 1, error: { code, message, hint, details } }, null, 2));
    this.exitStatus = this.#statusOfFailure(error);
  }
}

function stackOf(error: WaldenError): string {
  const origin = error.cause instanceof Error ? error.cause : error;
  return origin.stack ?? origin.message;
}
