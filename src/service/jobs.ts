import { randomUUID } from 'node:crypto';
import { errorToDocument, isWaldenError, toWaldenError, WaldenError } from '../errors.ts';
import type { Catalog, ClusterName, JobKind, JobRecord } from '../../catalog/catalog.ts';
import type { Clock } from '../platform/clock.ts';
import { microsFromDate } from '../postgres/timestamp.ts';
import { excludes, refusalBy } from './job-conflicts.ts';

export interface JobProgress {
  readonly phase: string;
  readonly doneBytes: number;
  readonly totalBytes: number;
  readonly files: number;
  readonly bytesPerSecond: number;
}

export interface JobControls {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: JobProgress) => void;
}

export interface JobView {
  readonly record: JobRecord;
  /** Only while it runs. */
  readonly progress: JobProgress | undefined;
}

/** What a job, or a short work besides jobs, keeps others from. */
export interface JobClaim {
  readonly kind: JobKind | 'hold';
  /** Undefined: all. */
  readonly cluster: ClusterName | undefined;
}

interface RunningJob {
  readonly kind: JobKind;
  readonly cluster: ClusterName | undefined;
  readonly controller: AbortController;
  readonly done: Promise<void>;
  progress: JobProgress | undefined;
}

export interface JobDeps {
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly note: (message: string, facts: Readonly<Record<string, unknown>>) => void;
  /** Told of each job that has ended, however it did; must not fail. */
  readonly ended: (job: JobRecord) => Promise<void>;
}

/** Long work in the background of the service: recorded in the catalog, watched and cancelled by its id. */
export class JobRunner {
  readonly #catalog: Catalog;
  readonly #clock: Clock;
  readonly #note: JobDeps['note'];
  readonly #ended: JobDeps['ended'];
  readonly #running = new Map<string, RunningJob>();
  readonly #claims = new Set<JobClaim>();
  #stopped = false;

  constructor({ catalog, clock, note, ended }: JobDeps) {
    this.#catalog = catalog;
    this.#clock = clock;
    this.#note = note;
    this.#ended = ended;
  }

  /** Jobs of a service that died: they cannot be running. */
  async failInterrupted(): Promise<void> {
    const error = errorToDocument(new WaldenError('INTERRUPTED', 'the service ended while this job ran'));
    for (const job of await this.#catalog.jobs(Number.MAX_SAFE_INTEGER)) {
      if (job.state !== 'running') continue;
      await this.#finish(job.id, { state: 'failed', error, result: null });
      await this.#tellEnd(job.id);
    }
  }

  /**
   * Keeps those that must not run at the same time from beginning, until the result is called.
   * @throws LOCK_HELD while one of them runs
   */
  claim(claim: JobClaim): () => void {
    const running = [...this.#claims].find((other) => excludes(other, claim));
    if (running !== undefined) throw refusalBy(running, claim);
    this.#claims.add(claim);
    return () => {
      this.#claims.delete(claim);
    };
  }

  /** Starts `work` and returns at once. `result` must be JSON. @throws LOCK_HELD, as `claim` */
  async start(
    kind: JobKind,
    cluster: ClusterName | undefined,
    work: (controls: JobControls) => Promise<unknown>,
  ): Promise<JobView> {
    if (this.#stopped) throw new WaldenError('INTERRUPTED', 'the service is stopping');
    const release = this.claim({ kind, cluster });
    const id = randomUUID();
    try {
      await this.#catalog.createJob({ id, kind, cluster, startedAt: microsFromDate(this.#clock.now()) });
    } catch (error) {
      release();
      throw error;
    }
    const controller = new AbortController();
    const job: RunningJob = {
      kind,
      cluster,
      controller,
      done: this.#run(id, (onProgress) => work({ signal: controller.signal, onProgress }), {
        signal: controller.signal,
        release,
      }),
      progress: undefined,
    };
    this.#running.set(id, job);
    return await this.view(id);
  }

  /** Whether one of these kinds runs for the cluster. */
  isRunning(kinds: readonly JobClaim['kind'][], cluster: ClusterName): boolean {
    return [...this.#claims].some((claim) => claim.cluster === cluster && kinds.includes(claim.kind));
  }

  /** Whether none of this kind runs for the cluster, nor anything that it must not run beside. */
  isFree(kind: JobKind, cluster: ClusterName): boolean {
    return !this.isRunning([kind], cluster) && ![...this.#claims].some((claim) => excludes(claim, { kind, cluster }));
  }

  runningByKind(): ReadonlyMap<JobKind, number> {
    const numbers = new Map<JobKind, number>();
    for (const { kind } of this.#running.values()) numbers.set(kind, (numbers.get(kind) ?? 0) + 1);
    return numbers;
  }

  /** Resolves when the job has ended, however it did. */
  async ended(id: string): Promise<void> {
    await this.#running.get(id)?.done;
  }

  /** @throws NOT_FOUND */
  async view(id: string): Promise<JobView> {
    const record = await this.#catalog.job(id);
    if (record === undefined) throw new WaldenError('NOT_FOUND', `there is no job ${id}`);
    return { record, progress: record.state === 'running' ? this.#running.get(id)?.progress : undefined };
  }

  /** Newest first; of one cluster, or all. */
  async list(limit: number, cluster?: ClusterName): Promise<readonly JobView[]> {
    const records = await this.#catalog.jobs(limit, cluster);
    return records.map((record) => ({
      record,
      progress: record.state === 'running' ? this.#running.get(record.id)?.progress : undefined,
    }));
  }

  /** Asks the job to end and waits until it has. A job that ended before is left as it is. */
  async cancel(id: string): Promise<JobView> {
    const job = this.#running.get(id);
    job?.controller.abort(new WaldenError('INTERRUPTED', 'the job was cancelled'));
    await job?.done;
    return await this.view(id);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const job of this.#running.values()) {
      job.controller.abort(new WaldenError('INTERRUPTED', 'the service was stopped'));
    }
    await Promise.all([...this.#running.values()].map((job) => job.done));
  }

  async #run(
    id: string,
    work: (onProgress: (progress: JobProgress) => void) => Promise<unknown>,
    { signal, release }: { readonly signal: AbortSignal; readonly release: () => void },
  ): Promise<void> {
    // The caller registers the job first: work that ends at once would not find itself.
    await Promise.resolve();
    let end: Pick<JobRecord, 'state' | 'error' | 'result'>;
    try {
      const result = await work((progress) => {
        const job = this.#running.get(id);
        if (job !== undefined) job.progress = progress;
      });
      end = { state: 'done', error: undefined, result: result ?? null };
    } catch (thrown) {
      const error = errorToDocument(thrown);
      // What ended with the service was not given up by anybody: it is told as what a killed service leaves is.
      const cancelled = signal.aborted && !this.#stopped && isWaldenError(thrown, 'INTERRUPTED');
      this.#note(`job ${id} ${cancelled ? 'was cancelled' : 'failed'}: ${error.message}`, { job: id, error });
      end = { state: cancelled ? 'cancelled' : 'failed', error, result: null };
    }
    await this.#finish(id, end);
    this.#running.delete(id);
    // Before anybody hears of the end, and begins what waited for it.
    release();
    await this.#tellEnd(id);
  }

  async #finish(id: string, end: Pick<JobRecord, 'state' | 'error' | 'result'>): Promise<void> {
    try {
      await this.#catalog.finishJob({ id, ...end, finishedAt: microsFromDate(this.#clock.now()) });
    } catch (cause) {
      // Nobody waits for this promise with a handler: the next start marks the job as interrupted.
      this.#note(`unable to record the end of job ${id}: ${toWaldenError(cause).message}`, { job: id });
    }
  }

  async #tellEnd(id: string): Promise<void> {
    try {
      const record = await this.#catalog.job(id);
      if (record !== undefined) await this.#ended(record);
    } catch (cause) {
      this.#note(`unable to tell the end of job ${id}: ${toWaldenError(cause).message}`, { job: id });
    }
  }
}
