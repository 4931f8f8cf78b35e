import type { WaldenError } from '../../errors.ts';
import type { ReaderSetup } from './reader-messages.ts';

/** A room that is nobody else's, until it is handed on. */
export interface EmptyRoom {
  readonly number: number;
  readonly bytes: Buffer;
  /** For the text of the members. */
  readonly text: SharedArrayBuffer;
}

/** The rooms of one reader: those that are free, and whoever waits for one. There are few: the server waits with the reader. */
export class RoomQueue {
  readonly #rooms: ReaderSetup['rooms'];
  readonly #free: number[];
  #waiting: { readonly resolve: (room: number) => void; readonly reject: (error: WaldenError) => void } | undefined;
  #failure: WaldenError | undefined;

  constructor(rooms: ReaderSetup['rooms']) {
    this.#rooms = rooms;
    this.#free = rooms.map((_, number) => number);
  }

  /** The next one that is free. @throws what `fail` was told */
  async take(): Promise<EmptyRoom> {
    if (this.#failure !== undefined) throw this.#failure;
    const number =
      this.#free.pop() ??
      (await new Promise<number>((resolve, reject) => {
        this.#waiting = { resolve, reject };
      }));
    const room = this.#rooms[number];
    if (room === undefined) throw new Error(`there is no room ${number}`);
    return { number, bytes: Buffer.from(room.bytes), text: room.text };
  }

  /** Nobody reads it any more. */
  free(number: number): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting === undefined) this.#free.push(number);
    else waiting.resolve(number);
  }

  /** Whoever waits is told this, and whoever comes. */
  fail(error: WaldenError): void {
    this.#failure = error;
    this.#waiting?.reject(error);
    this.#waiting = undefined;
  }
}
