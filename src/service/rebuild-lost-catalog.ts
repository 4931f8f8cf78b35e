import type { RepositoryName } from '../../catalog/catalog.ts';
import { errorToDocument, isWaldenError, WaldenError } from '../errors.ts';
import { readRepositoryFile } from '../repository/repository-file.ts';
import type { ServiceDeps } from './deps.ts';

const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 60_000;

/** Which repositories a catalog that was lost does not know yet, each with why it could not be read. */
export type Unread = ReadonlyMap<RepositoryName, WaldenError | undefined>;

/**
 * Has a catalog that was lost know everything again: first what can be read at once, which can be used from then on, and
 * each repository that was away when it is there again. Whoever has to know everything waits for the end.
 */
export class LostCatalog {
  readonly #deps: Pick<ServiceDeps, 'rebuildCatalog' | 'repositories' | 'clock' | 'log'>;
  #unread: Unread;

  constructor(deps: Pick<ServiceDeps, 'rebuildCatalog' | 'repositories' | 'clock' | 'log'>) {
    this.#deps = deps;
    this.#unread = new Map([...deps.repositories.keys()].map((name) => [name, undefined]));
  }

  get unread(): Unread {
    return this.#unread;
  }

  /**
   * `known` is told whenever there is more to use. Resolves when everything was read, by this or, which `isOver` tells, by
   * somebody else. @returns what differed
   * @throws INTERRUPTED, what concerns the catalog itself, and why nothing at all can be read, unless that may pass
   */
  async rebuild(
    signal: AbortSignal,
    { known, isOver }: { readonly known: () => void; readonly isOver: () => boolean },
  ): Promise<readonly string[]> {
    const differences: string[] = [];
    for (let attempt = 0; !isOver(); attempt += 1) {
      if (attempt > 0) await this.#pause(attempt, signal);
      if (attempt > 0 && !(await this.#isAnyThere())) continue;
      const before = this.#unread;
      const away = await this.#readOnce(signal, differences);
      if (away === undefined) continue;
      this.#unread = away;
      this.#tell(before);
      if (away.size < before.size) known();
      if (away.size === 0) break;
      this.#assertMayPass();
    }
    return differences;
  }

  /** @returns what is away; undefined when somebody else rebuilds the catalog at this moment */
  async #readOnce(signal: AbortSignal, differences: string[]): Promise<Unread | undefined> {
    const unread = new Map<RepositoryName, WaldenError | undefined>();
    const read = new Set(this.#unread.keys());
    try {
      const away = (name: RepositoryName, error: WaldenError): void => void unread.set(name, error);
      differences.push(...(await this.#deps.rebuildCatalog(signal, { read, away })));
      return unread;
    } catch (error) {
      if (isWaldenError(error, 'LOCK_HELD')) return undefined;
      throw error;
    }
  }

  /** To read the catalog anew for nothing would be much work. */
  async #isAnyThere(): Promise<boolean> {
    for (const name of this.#unread.keys()) {
      const repository = this.#deps.repositories.get(name);
      if (repository === undefined) continue;
      const answered = await readRepositoryFile(repository).then(
        () => true,
        // Away still; what is wrong with it was told.
        () => false,
      );
      if (answered) return true;
    }
    return false;
  }

  /** @throws what somebody has to put right before anything can be read: then the operator begins it again */
  #assertMayPass(): void {
    const failures = [...this.#unread.values()];
    if (failures.length < this.#deps.repositories.size) return;
    const first = failures.find((failure) => failure !== undefined);
    if (first !== undefined && failures.every((failure) => failure?.retryable === false)) throw first;
  }

  #tell(before: Unread): void {
    for (const [name, error] of this.#unread) {
      if (error === undefined || before.get(name)?.message === error.message) continue;
      const facts = { repository: name, error: errorToDocument(error) };
      this.#deps.log.warn(facts, `what repository ${name} holds is not known: ${error.message}`);
    }
    for (const name of before.keys()) {
      if (!this.#unread.has(name)) this.#deps.log.info({ repository: name }, `what repository ${name} holds is known`);
    }
  }

  async #pause(attempt: number, signal: AbortSignal): Promise<void> {
    const longest = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (attempt - 1));
    // With jitter; it ends early when it is interrupted.
    await this.#deps.clock.sleep(longest * (0.5 + Math.random() / 2), signal).catch(() => undefined);
    if (signal.aborted) throw new WaldenError('INTERRUPTED', 'the rebuild of the catalog was interrupted');
  }
}
