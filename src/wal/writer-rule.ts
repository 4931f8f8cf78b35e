import { join } from 'node:path';
import type { TimelineWriter, WalNode } from '../../catalog/writers.ts';
import type { Sha256Hex } from '../../storage-drivers/driver.ts';
import { errorToDocument, isWaldenError, WaldenError } from '../errors.ts';
import { readControlFile } from '../postgres/control-file.ts';
import type { TimelineId } from '../postgres/lsn.ts';
import { readNodeState, type NodeState } from '../postgres/node-state.ts';
import { microsFromDate } from '../postgres/timestamp.ts';
import type { ParsedWalName } from '../postgres/wal-name.ts';
import type { ArchiveContext } from './archive-context.ts';
import { hashTask } from './archive-task.ts';
import { isSameNode, localNode, nodeText, type ToldNode } from './wal-node.ts';
import { quietSince, stopHint, stopOrAcceptHint } from './writer-words.ts';

/** Who brings a file: the server in the configured data directory, or a node that was told. */
export type WalBearer = 'configured' | ToldNode;

type RuleContext = Pick<ArchiveContext, 'catalog' | 'cluster' | 'identity' | 'clock' | 'pool'>;

/**
 * Each timeline of a cluster has one writer: the node whose server writes it. It is the first that archives something new of
 * it; the server in the configured data directory takes it over; whoever else would write it is refused (ADR 22).
 */
export class WriterRule {
  readonly #context: RuleContext;
  readonly #dataDirectory: string | undefined;

  constructor(context: RuleContext, dataDirectory: string | undefined) {
    this.#context = context;
    this.#dataDirectory = dataDirectory;
  }

  /** Whether a valid file that the archive does not have may enter it. @throws SECOND_WRITER, and as the catalog */
  async admit(file: ParsedWalName, bearer: WalBearer, sha256: Sha256Hex): Promise<void> {
    if (bearer === 'configured') {
      await this.#takeOver(file.timeline);
      return;
    }
    const { catalog, cluster } = this.#context;
    if (writesTimeline(bearer, file.timeline)) {
      const { node: writer } = await this.#writerOr(bearer.node, file.timeline);
      if (!isSameNode(writer, bearer.node) && !(await this.#isOfConfigured(file, writer, sha256))) {
        throw this.#refusal(file, writer, bearer.node);
      }
    }
    await catalog.writers.forgetRefused(cluster, file.timeline, bearer.node);
  }

  /** Records that a file was refused. @returns what is to be told: it names both where two nodes write one timeline */
  async failed(file: ParsedWalName, bearer: WalBearer | undefined, failure: WaldenError): Promise<WaldenError> {
    const { catalog, cluster, clock } = this.#context;
    const isDuplicate = isWaldenError(failure, 'ARCHIVE_DUPLICATE');
    const told = isDuplicate && bearer !== undefined ? await this.#duplicate(file, bearer, failure) : failure;
    const { second } = told.details as { readonly second?: WalNode };
    const error = errorToDocument(told);
    const at = microsFromDate(clock.now());
    try {
      if (second === undefined) {
        await catalog.recordRefusal(cluster, file.name, error, at);
      } else {
        await catalog.writers.forgetQuiet(cluster, quietSince(clock.now()));
        const { timeline, name } = file;
        await catalog.writers.recordRefused({ cluster, timeline, node: second, file: name, error, at });
      }
    } catch {
      // A catalog on a full disk: what PostgreSQL must hear is what is wrong with its file.
    }
    return told;
  }

  /** The configuration is the operator's word; a server in recovery or one that has left the timeline writes none. */
  async #takeOver(timeline: TimelineId): Promise<void> {
    const { catalog, cluster, clock } = this.#context;
    const own = await this.#configured();
    if (own === undefined) return;
    const known = await catalog.writers.writer(cluster, timeline);
    if (known !== undefined && isSameNode(known.node, own.node)) return;
    const state = await readNodeState(own.directory);
    if (!writesTimeline(state, timeline) || (await isEndingRecovery(own.directory))) return;
    await catalog.writers.take({ cluster, timeline, node: own.node, since: microsFromDate(clock.now()) });
  }

  /** Who writes the timeline; where nobody is known, it is from now on the configured server that does, else `node`. */
  async #writerOr(node: WalNode, timeline: TimelineId): Promise<TimelineWriter> {
    const { catalog, cluster, clock } = this.#context;
    const known = await catalog.writers.writer(cluster, timeline);
    if (known !== undefined) return known;
    const since = microsFromDate(clock.now());
    const wanted = (await this.#configuredWriting(timeline)) ?? node;
    return await catalog.writers.claim({ cluster, timeline, node: wanted, since });
  }

  /** The configured server, if it is the one that writes this timeline now. */
  async #configuredWriting(timeline: TimelineId): Promise<WalNode | undefined> {
    const own = await this.#configured();
    if (own === undefined) return undefined;
    try {
      const control = await readControlFile(own.directory);
      const isOurs = control.systemIdentifier === this.#context.identity.systemIdentifier;
      const { newestTimeline } = await readNodeState(own.directory);
      const writes = control.state === 'in production' && control.timeline === timeline && newestTimeline <= timeline;
      return isOurs && writes ? own.node : undefined;
    } catch {
      // What cannot be read says nothing: the first that archives is the writer then.
      return undefined;
    }
  }

  /** Whether these are the bytes of the configured server, which writes the timeline: seen by another path or host name. */
  async #isOfConfigured(file: ParsedWalName, writer: WalNode, sha256: Sha256Hex): Promise<boolean> {
    const own = await this.#configured();
    if (own === undefined || !isSameNode(own.node, writer)) return false;
    try {
      const source = join(own.directory, 'pg_wal', file.name);
      return (await this.#context.pool.run(hashTask, { source })).sha256 === sha256;
    } catch {
      // It has no such file, or not any more: then it is not known to be its own.
      return false;
    }
  }

  async #configured(): Promise<{ readonly node: WalNode; readonly directory: string } | undefined> {
    const directory = this.#dataDirectory;
    if (directory === undefined) return undefined;
    try {
      return { node: await localNode(directory), directory };
    } catch {
      // It is not there: then no server is in it.
      return undefined;
    }
  }

  #refusal(file: ParsedWalName, writer: WalNode, second: WalNode): WaldenError {
    const { cluster } = this.#context;
    const { timeline, name } = file;
    return new WaldenError(
      'SECOND_WRITER',
      `timeline ${timeline} of cluster ${cluster} is written by ${nodeText(writer)}, and ${name} comes from ${nodeText(second)}`,
      { hint: stopOrAcceptHint(cluster, timeline, second), details: { timeline, file: name, writer, second } },
    );
  }

  async #duplicate(file: ParsedWalName, bearer: WalBearer, failure: WaldenError): Promise<WaldenError> {
    const { catalog, cluster } = this.#context;
    const { timeline, name } = file;
    const known = await catalog.writers.writer(cluster, timeline).catch(() => undefined);
    const own = bearer === 'configured' ? await this.#configured() : undefined;
    const offered = bearer === 'configured' ? own?.node : bearer.node;
    if (known === undefined || offered === undefined) return failure;
    const writer = known.node;
    // What cannot be read writes, as far as is known: to name it does no harm.
    const state = own === undefined ? bearer : await readNodeState(own.directory).catch(() => 'configured' as const);
    const writes = state === 'configured' || writesTimeline(state, timeline);
    const isSecond = writes && !isSameNode(writer, offered);
    const message = `${failure.message}; timeline ${timeline} is written by ${nodeText(writer)}, these bytes come from ${nodeText(offered)}`;
    const details = { ...failure.details, timeline, file: name, writer, offered };
    if (!isSecond) return new WaldenError('ARCHIVE_DUPLICATE', message, { details, cause: failure });
    // No word makes it the writer: what is stored stays.
    const hint = stopHint(offered);
    return new WaldenError('ARCHIVE_DUPLICATE', message, {
      ...{ hint, cause: failure },
      details: { ...details, second: offered },
    });
  }
}

/** The signals of recovery are gone, and it does not write yet. */
async function isEndingRecovery(dataDirectory: string): Promise<boolean> {
  try {
    return (await readControlFile(dataDirectory)).state !== 'in production';
  } catch {
    // What cannot be read keeps nobody from writing.
    return false;
  }
}

/** Or what it brings is another's: it is in recovery, or it has left the timeline. */
function writesTimeline({ inRecovery, newestTimeline }: NodeState, timeline: TimelineId): boolean {
  return !inRecovery && newestTimeline <= timeline;
}
