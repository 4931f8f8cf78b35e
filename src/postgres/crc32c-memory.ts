import { CRC_OF_BYTES, CRC_OF_RECORD, crcTables, TABLES_BYTES } from './crc32c-code.ts';
import { WAL_PAGE_BYTES } from './wal-page.ts';
import { bind, compile, createMemory } from './wasm.ts';

/**
 * Memory of this thread in which CRC-32C of WAL is computed: pages are copied to its area, which ends well before the memory
 * does, since some bytes beyond it may be read. Addresses are offsets in it; those given to the functions stand in the
 * area, whatever the bytes there say.
 */
export interface Crc32cMemory {
  readonly bytes: Buffer;
  /** The same, as 32-bit numbers: read faster than by the view, at multiples of 4. */
  readonly words: Int32Array;
  readonly view: DataView;
  /** `(address, end, crc)`: of the bytes between, going on from `crc`, as a signed number. */
  readonly crcOfBytes: (address: number, end: number, crc: number) => number;
  /** `(address, end)`: of the WAL record there, which has at least its header, as a signed number. */
  readonly crcOfRecord: (address: number, end: number) => number;
}

const MEMORY_BYTES = 64 * 1024;
/** For WAL pages. Whoever uses it leaves nothing there that is needed after the call: all walkers of a thread share it. */
export const PAGES_AREA = { start: TABLES_BYTES, bytes: 5 * WAL_PAGE_BYTES } as const;

// Made when it is needed, and once: a memory takes some GiB of address space, and most threads sum nothing.
let memory: Crc32cMemory | undefined;

/** @throws LOCAL_IO when the system does not give it */
export function crc32cMemory(): Crc32cMemory {
  memory ??= create();
  return memory;
}

function create(): Crc32cMemory {
  const wasm = createMemory(MEMORY_BYTES);
  const words = new Int32Array(wasm.buffer);
  words.set(crcTables());
  return {
    bytes: Buffer.from(wasm.buffer),
    words,
    view: new DataView(wasm.buffer),
    crcOfBytes: bind(compile(CRC_OF_BYTES), wasm),
    crcOfRecord: bind(compile(CRC_OF_RECORD), wasm),
  };
}
