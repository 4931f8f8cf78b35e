import type { Duplex } from 'node:stream';
import { toWaldenError, WaldenError } from '../../errors.ts';
import { type BackendMessage, FrameReader } from './frame-reader.ts';
import { readErrorFields, TERMINATE } from './messages.ts';
import type { ReadMemory } from './read-memory.ts';

/** Above the first nothing more is read from the socket until what waits is below the second. */
const PAUSE_BYTES = 2 * 1024 * 1024;
const RESUME_BYTES = 512 * 1024;
/** What waits, with the heads of its messages, and what one read brings more. */
const REUSED_BYTES = PAUSE_BYTES + 512 * 1024;
const CLOSE_TIMEOUT_MS = 2_000;

interface Waiter {
  readonly take: (message: BackendMessage | undefined) => void;
  readonly fail: (error: WaldenError) => void;
}

/** The messages of a connection, one after the other, for one reader. What nobody has read yet is bounded. */
export class Wire {
  readonly #socket: Duplex;
  readonly #memory: ReadMemory;
  readonly #frames = new FrameReader();
  #queue: BackendMessage[] = [];
  #queuedBytes = 0;
  #waiter: Waiter | undefined;
  #failure: WaldenError | undefined;

  /** @param memory that the socket reads into, unless there is TLS */
  constructor(socket: Duplex, memory: ReadMemory) {
    this.#socket = socket;
    this.#memory = memory;
    socket.on('data', this.#read);
    socket.on('error', (error) => {
      this.fail(lost(error.message));
    });
    socket.on('close', () => {
      this.fail(lost('it was closed'));
    });
    socket.resume();
  }

  /** See FrameReader: from the next message on. */
  set piecesOfCopyData(are: boolean) {
    this.#frames.piecesOfCopyData = are;
  }

  /**
   * Whether what `receiveAll` gives is good until it is called again, and may be written over then: nothing is made for each
   * read. Nobody calls `receive` meanwhile.
   */
  set reusesMemory(does: boolean) {
    this.#memory.reuse(does ? REUSED_BYTES : undefined);
    this.#frames.copiesBodies = does;
  }

  /** @throws SERVER_UNREACHABLE when the connection is lost */
  send(bytes: Buffer): void {
    if (this.#failure !== undefined) throw this.#failure;
    this.#socket.write(bytes);
  }

  /**
   * Resolves when more may be sent: what the server does not take yet would pile up here.
   * @throws SERVER_UNREACHABLE when the connection is lost, or does not take it in this time
   */
  async sendAsTaken(bytes: Buffer, timeoutMs: number): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#socket.write(bytes)) return;
    await new Promise<void>((resolve) => {
      const settle = (): void => {
        clearTimeout(timer);
        this.#socket.off('drain', settle);
        this.#socket.off('close', settle);
        resolve();
      };
      const timer = setTimeout(() => {
        this.fail(lost(`it took nothing for ${timeoutMs / 1000} s`));
        settle();
      }, timeoutMs);
      this.#socket.once('drain', settle);
      this.#socket.once('close', settle);
    });
    // Of `fail` told, or of the socket.
    this.#throwIfLost();
  }

  #throwIfLost(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  /**
   * The next message, or undefined when none comes in this time. What came before a loss is still given.
   * @throws SERVER_UNREACHABLE, or whatever `fail` was told
   */
  async receive(timeoutMs: number): Promise<BackendMessage | undefined> {
    const next = this.#queue.shift();
    if (next !== undefined) {
      this.#queuedBytes -= next.body.length;
      if (this.#queuedBytes < RESUME_BYTES) this.#socket.resume();
      return next;
    }
    return await this.#nextToArrive(timeoutMs);
  }

  /** All that has come and not been given yet, at least one; none only when none comes in this time. @throws as `receive` */
  async receiveAll(timeoutMs: number): Promise<readonly BackendMessage[]> {
    this.#memory.turn();
    if (this.#queue.length === 0) {
      const first = await this.#nextToArrive(timeoutMs);
      return first === undefined ? [] : [first];
    }
    const messages = this.#queue;
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#socket.resume();
    return messages;
  }

  async #nextToArrive(timeoutMs: number): Promise<BackendMessage | undefined> {
    if (this.#failure !== undefined) throw this.#failure;
    return await new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        settle(() => {
          resolve(undefined);
        });
      }, timeoutMs);
      const settle = (then: () => void): void => {
        clearTimeout(timer);
        this.#waiter = undefined;
        then();
      };
      this.#waiter = {
        take: (message) => {
          settle(() => {
            resolve(message);
          });
        },
        fail: (error) => {
          settle(() => {
            reject(error);
          });
        },
      };
    });
  }

  /** Ends the connection at once; who waits is told this reason. */
  fail(error: WaldenError): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#socket.destroy();
    this.#waiter?.fail(error);
  }

  /** Says goodbye, so that the server lets go of the slot at once. */
  async close(): Promise<void> {
    if (this.#failure !== undefined) return;
    this.#failure = lost('it was closed here');
    this.#waiter?.fail(this.#failure);
    // Nobody reads the rest: it must not keep the end from coming.
    this.#socket.resume();
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, CLOSE_TIMEOUT_MS);
      this.#socket.once('close', () => {
        clearTimeout(timer);
        resolve();
      });
      this.#socket.end(TERMINATE);
    });
    this.#socket.destroy();
  }

  readonly #read = (chunk: Buffer): void => {
    if (this.#failure !== undefined) return;
    try {
      for (const message of this.#frames.feed(chunk)) this.#arrived(message);
    } catch (error) {
      this.fail(toWaldenError(error));
    }
  };

  #arrived(message: BackendMessage): void {
    if (this.#waiter !== undefined) {
      this.#waiter.take(message);
      return;
    }
    this.#queue.push(message);
    this.#queuedBytes += message.body.length;
    if (this.#queuedBytes >= PAUSE_BYTES) this.#socket.pause();
  }
}

function lost(fact: string): WaldenError {
  return new WaldenError('SERVER_UNREACHABLE', `the connection to PostgreSQL was lost: ${fact}`);
}

/**
 * What an ErrorResponse says. The connection ends with a fatal one, which is SERVER_UNREACHABLE; any other is SERVER_QUERY.
 * `details` have the SQLSTATE.
 */
export function serverError(attempted: string, body: Buffer): WaldenError {
  const fields = readErrorFields(body);
  const isFatal = fields.get('V') !== 'ERROR';
  const detail = fields.get('D');
  const text = `${fields.get('M') ?? 'it gave no reason'}${detail === undefined ? '' : `: ${detail}`}`;
  return new WaldenError(isFatal ? 'SERVER_UNREACHABLE' : 'SERVER_QUERY', `${attempted}: PostgreSQL says: ${text}`, {
    details: { sqlstate: fields.get('C') ?? '' },
  });
}
