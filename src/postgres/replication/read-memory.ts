import { Socket, type SocketConstructorOpts, type TcpSocketConnectOpts } from 'node:net';

/** A read takes no more at once; a unix socket on Linux holds some 200 KiB. */
const MOST_BYTES = 256 * 1024;
/** With less room than this, other memory is used: many small reads would take long. */
const LEAST_BYTES = 32 * 1024;

/** What is read goes behind what was read before. */
interface Area {
  readonly memory: Buffer;
  filled: number;
}

/**
 * The memory into which a socket reads. By itself Node makes 64 KiB for each read, and the collector has to find them; here
 * reads share their memory. It is never written over, unless that is asked for: then three areas are filled in turn.
 */
export class ReadMemory {
  #fresh = newArea(0);
  /** The first is being filled; what is in the last has been used, but for what a read brought that was under way at the turn. */
  #reused: [Area, Area, Area] | undefined;
  #hasRead = false;
  /** Where the next read goes to. Node has it said as soon as it has told of the one before: turns come in between. */
  #place: { readonly area: Area; readonly start: number } | undefined;

  /** From now on reads go into areas of so many bytes each, as `turn` says. undefined: no longer; what stands there stays. */
  reuse(bytes: number | undefined): void {
    this.#reused = bytes === undefined ? undefined : [newArea(bytes), newArea(bytes), newArea(bytes)];
  }

  /**
   * What was read since the last turn is being used from now on; nobody uses any more what was read before that. Where nothing
   * was read, nothing turns: the area of the read that is under way would come too near.
   */
  turn(): void {
    if (this.#reused === undefined || !this.#hasRead) return;
    this.#hasRead = false;
    const [filled, before, oldest] = this.#reused;
    oldest.filled = 0;
    this.#reused = [oldest, filled, before];
  }

  /** Where to read to. */
  next(): Buffer {
    const reused = this.#reused?.[0];
    const area = reused !== undefined && roomIn(reused) >= LEAST_BYTES ? reused : this.#freshArea();
    const start = area.filled;
    this.#place = { area, start };
    return area.memory.subarray(start, start + MOST_BYTES);
  }

  /** So many bytes were read to where `next` said. @returns them */
  took(bytes: number): Buffer {
    if (this.#place === undefined) throw new RangeError('nothing was to be read');
    const { area, start } = this.#place;
    area.filled = start + bytes;
    this.#hasRead = true;
    return area.memory.subarray(start, area.filled);
  }

  #freshArea(): Area {
    if (roomIn(this.#fresh) < LEAST_BYTES) this.#fresh = newArea(MOST_BYTES);
    return this.#fresh;
  }
}

/**
 * A socket that reads into this memory and tells of it as any socket does, by its event `data`. The options are those that
 * `net.connect` gives its sockets; pg connects this one by itself.
 */
export function socketReadingInto(memory: ReadMemory): Socket {
  const options: SocketConstructorOpts & Pick<TcpSocketConnectOpts, 'onread'> = {
    onread: {
      buffer: () => memory.next(),
      callback: (bytes) => {
        socket.emit('data', memory.took(bytes));
        return true;
      },
    },
  };
  const socket = new Socket(options);
  return socket;
}

function roomIn({ memory, filled }: Area): number {
  return memory.length - filled;
}

function newArea(bytes: number): Area {
  return { memory: Buffer.allocUnsafeSlow(bytes), filled: 0 };
}
