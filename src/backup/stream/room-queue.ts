import type { WaldenError } from '../../errors.ts';
import type { FromReader, ReaderSetup } from './reader-messages.ts';
import type { EmptyRoom, Rooms } from './room-filler.ts';
import type { FilledUnit } from './unit.ts';

/** The rooms of one reader: those that are free, and whoever waits for one. There are few: the server waits with the reader. */
export class RoomQueue implements Rooms {
  readonly #rooms: ReaderSetup['rooms'];
  readonly #tell: (message: FromReader) => void;
  readonly #free: number[];
  #waiting: { readonly resolve: (room: number) => void; readonly reject: (error: WaldenError) => void } | undefined;
  #failure: WaldenError | undefined;

  constructor(rooms: ReaderSetup['rooms'], tell: (message: FromReader) => void) {
    this.#rooms = rooms;
    this.#tell = tell;
    this.#free = rooms.map((_, number) => number);
  }

  /** @throws what `fail` was told */
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

  hand(unit: FilledUnit): void {
    this.#tell({ kind: 'unit', unit });
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
