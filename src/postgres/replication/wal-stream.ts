import { WaldenError } from '../../errors.ts';
import { formatLsn, type Lsn, parseLsn, type TimelineId, timelineId } from '../lsn.ts';
import type { Micros } from '../timestamp.ts';
import type { StreamStart } from './connection.ts';
import { COPY_DONE, type ReceiverPosition, readColumns, readValues, simpleQuery, statusUpdate } from './messages.ts';
import { type WalMessage, WalMessages } from './wal-messages.ts';
import { serverError, type Wire } from './wire.ts';

/** How long the end of a stream may take that both sides want. */
const END_TIMEOUT_MS = 30_000;

/** Where the WAL of the server goes on when its timeline has ended. */
export interface NextTimeline {
  readonly timeline: TimelineId;
  /** Where it forked off. */
  readonly start: Lsn;
}

/** `begun`: the server takes statuses. `silence`: nothing came in time. `end`: all of the timeline has come. */
export type StreamEvent =
  WalMessage | { readonly kind: 'begun' } | { readonly kind: 'silence' } | { readonly kind: 'end' };

/**
 * WAL as it comes from START_REPLICATION:
 *
 * - CopyBothResponse, then WAL and keepalives inside CopyData, while statuses go up;
 * - CopyDone when the timeline ends: `finish` answers it, and the server says which timeline follows;
 * - no copy at all, but at once the timeline that follows, when nothing is left on this one behind the start.
 */
export class WalStream {
  readonly #wire: Wire;
  readonly #attempted: string;
  readonly #messages = new WalMessages();
  #inCopy = false;
  /** What the result row said, which may come before anybody asked. */
  #next: NextTimeline | undefined;
  #columns: readonly string[] = [];

  constructor(wire: Wire, { slot, timeline, start }: StreamStart) {
    this.#wire = wire;
    this.#attempted = `unable to stream WAL of timeline ${timeline} from ${formatLsn(start)}`;
    wire.piecesOfCopyData = true;
    const from = slot === undefined ? '' : `SLOT ${quotedSlot(slot)} `;
    wire.send(simpleQuery(`START_REPLICATION ${from}PHYSICAL ${formatLsn(start)} TIMELINE ${timeline}`));
  }

  /** What comes next. @throws SERVER_QUERY when the server refuses, SERVER_UNREACHABLE when it is lost */
  async next(timeoutMs: number): Promise<StreamEvent> {
    for (;;) {
      const message = await this.#wire.receive(timeoutMs);
      switch (message?.type) {
        case undefined:
          return { kind: 'silence' };
        case 'W':
          this.#inCopy = true;
          return { kind: 'begun' };
        case 'd': {
          const event = this.#messages.read(message);
          if (event !== undefined) return event;
          break;
        }
        case 'c':
          return { kind: 'end' };
        case 'T':
          // No copy was begun: the row that a stream ends with comes at once.
          this.#columns = readColumns(message.body);
          return { kind: 'end' };
        case 'E':
          throw serverError(this.#attempted, message.body);
        case 'Z':
          throw new WaldenError('SERVER_UNREACHABLE', `${this.#attempted}: PostgreSQL ended the stream without a word`);
        default:
        // Notices and changes of settings.
      }
    }
  }

  /** @throws SERVER_UNREACHABLE */
  sendStatus(position: ReceiverPosition, at: Micros, replyNow: boolean): void {
    if (this.#inCopy) this.#wire.send(statusUpdate(position, at, replyNow));
  }

  /** After `end`, once everything that came is safe. The connection takes commands again then. @throws as `next` */
  async finish(): Promise<NextTimeline | undefined> {
    this.#wire.piecesOfCopyData = false;
    if (this.#inCopy) this.#wire.send(COPY_DONE);
    for (;;) {
      const message = await this.#wire.receive(END_TIMEOUT_MS);
      switch (message?.type) {
        case undefined:
          throw new WaldenError(
            'SERVER_UNREACHABLE',
            `PostgreSQL did not end the stream within ${END_TIMEOUT_MS / 1000} s`,
          );
        case 'T':
          this.#columns = readColumns(message.body);
          break;
        case 'D':
          this.#next = nextTimeline(this.#columns, readValues(message.body));
          break;
        case 'E':
          throw serverError(this.#attempted, message.body);
        case 'Z':
          return this.#next;
        default:
        // CommandComplete, and what was on its way.
      }
    }
  }
}

/** As a command takes it: slot names are a-z, 0-9 and `_` (ReplicationSlotValidateName). @throws CONFIG_INVALID */
export function quotedSlot(slot: string): string {
  if (/^[a-z0-9_]{1,63}$/.test(slot)) return `"${slot}"`;
  throw new WaldenError('CONFIG_INVALID', `${JSON.stringify(slot)} cannot be the name of a replication slot`);
}

function nextTimeline(columns: readonly string[], values: readonly (Buffer | undefined)[]): NextTimeline {
  const value = (name: string): string => values[columns.indexOf(name)]?.toString('utf8') ?? '';
  return { timeline: timelineId(Number(value('next_tli'))), start: parseLsn(value('next_tli_startpos')) };
}
