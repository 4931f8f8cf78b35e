import type { Clock } from '../platform/clock.ts';
import { microsFromDate } from '../postgres/timestamp.ts';
import type { ArchiveContext } from '../wal/archive-context.ts';
import { assertSuccessor } from '../wal/receive/assert-successor.ts';
import type { WalReceiver } from '../wal/receive/receiver.ts';
import type { ServiceLog } from './deps.ts';
import { NO_ORDERS, type ReceiverOrderFile, type ReceiverOrders } from './receiver-orders.ts';

export interface OrderedReceiverDeps {
  readonly receiver: WalReceiver;
  readonly file: ReceiverOrderFile;
  /** As the configuration says. May hold a password. */
  readonly conninfo: string;
  readonly open: () => Promise<ArchiveContext>;
  readonly clock: Clock;
  readonly log: ServiceLog;
}

/**
 * The receiver of a cluster, and what operators have ordered of it. An order is durable before it is carried out: it holds
 * for the next service as well. One after the other.
 */
export class OrderedReceiver {
  readonly receiver: WalReceiver;
  readonly #deps: OrderedReceiverDeps;
  #orders: ReceiverOrders = NO_ORDERS;
  #last: Promise<unknown> = Promise.resolve();

  constructor(deps: OrderedReceiverDeps) {
    this.#deps = deps;
    this.receiver = deps.receiver;
  }

  get orders(): ReceiverOrders {
    return this.#orders;
  }

  /** What was ordered of an earlier service; nothing is started. @throws FORMAT_INVALID, LOCAL_IO */
  async prepare(): Promise<void> {
    this.#orders = await this.#deps.file.read();
    const { follows } = this.#orders;
    if (follows !== undefined) await this.receiver.follow(follows.conninfo);
  }

  /** At the start of the service. */
  async begin(): Promise<void> {
    const { stoppedAt, follows } = this.#orders;
    if (follows !== undefined) this.#deps.log.warn({}, 'the receiver follows the primary that was ordered last');
    if (stoppedAt === undefined) await this.receiver.start();
    else
      this.#deps.log.warn(
        {},
        'the receiver was stopped by an operator, and stays so; its slot keeps WAL on the server',
      );
  }

  async start(): Promise<void> {
    await this.#inTurn(async () => {
      await this.#order({ stoppedAt: undefined });
      await this.receiver.start();
    });
  }

  async stop(): Promise<void> {
    await this.#inTurn(async () => {
      await this.#order({ stoppedAt: this.#orders.stoppedAt ?? microsFromDate(this.#deps.clock.now()) });
      await this.receiver.stop();
    });
  }

  /** @returns what was put aside */
  async reset(): Promise<readonly string[]> {
    return await this.#inTurn(async () => {
      await this.#order({ stoppedAt: undefined });
      return await this.receiver.reset();
    });
  }

  /**
   * From now on from this server, once it was seen to be the cluster's, to take writes, and to have come from the timeline
   * that was received last. A receiver that is stopped stays so.
   * @throws USAGE, CONFIG_INVALID, SERVER_MISMATCH, SERVER_UNREACHABLE, SERVER_QUERY: then nothing has changed
   */
  async follow(conninfo: string): Promise<void> {
    await this.#inTurn(async () => {
      const found = await assertSuccessor(await this.#deps.open(), conninfo, this.receiver.status().timeline);
      await this.#order({ follows: { conninfo, since: microsFromDate(this.#deps.clock.now()) } });
      this.#deps.log.info({ ...found }, 'the receiver follows another primary');
      await this.receiver.follow(conninfo);
    });
  }

  /** From what the configuration names again. */
  async followConfigured(): Promise<void> {
    await this.#inTurn(async () => {
      await this.#order({ follows: undefined });
      await this.receiver.follow(this.#deps.conninfo);
    });
  }

  async #order(changed: Partial<ReceiverOrders>): Promise<void> {
    const orders = { ...this.#orders, ...changed };
    await this.#deps.file.write(orders);
    this.#orders = orders;
  }

  async #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const turn = this.#last.then(work);
    // Whoever comes next waits for the end, however it was: the failure is told to the one who asked.
    this.#last = turn.catch(() => undefined);
    return await turn;
  }
}
