import { i32, i64, type Instruction, local, type WasmFunction, whileTrue } from './wasm.ts';

/**
 * CRC-32C (Castagnoli), as WebAssembly, by tables (slicing by 16): table k gives the effect of a byte that stands k bytes
 * ahead of the end of what one step takes, so the look-ups of a step do not wait for each other. The tables stand at the
 * beginning of the memory. Up to 8 bytes beyond the end of what is summed may be read.
 */
const POLYNOMIAL = 0x82f63b78;
const TABLES = 16;
const TABLE_BYTES = 256 * 4;
export const TABLES_BYTES = TABLES * TABLE_BYTES;

/** A record of the WAL (XLogRecord): its checksum stands at the end of its header, and covers what is before it last. */
const HEADER_BYTES = 24;

// The parameters and the locals, by number. CRC is kept inverted, as the definition has it, while bytes are added.
const ADDRESS = 0;
const END = 1;
const CRC = 2;
const WORDS = [3, 4, 5, 6] as const;
const LAST_WORDS = 7;
const RECORD = 8;
const LOCALS = ['i32', 'i32', 'i32', 'i32', 'i64'] as const;

/** `(address, end, crc) => crc` of the bytes between, going on from `crc`: 0 at the beginning. */
export const CRC_OF_BYTES: WasmFunction = {
  parameters: 3,
  locals: LOCALS,
  body: [...inverted(), local.set(CRC), ...rest(), ...inverted()],
};

/** `(address, end) => crc` of the WAL record there: its data first, then its header without the checksum. */
export const CRC_OF_RECORD: WasmFunction = {
  parameters: 2,
  locals: ['i32', ...LOCALS, 'i32'],
  body: [
    ...[i32.const(-1), local.set(CRC)],
    ...[local.get(ADDRESS), local.tee(RECORD), i32.const(HEADER_BYTES), i32.add, local.set(ADDRESS)],
    ...rest(),
    ...[local.get(RECORD), local.set(ADDRESS)],
    ...[...step(4), ...skip(16), ...step(1)],
    ...inverted(),
  ],
};

export function crcTables(): Int32Array {
  const tables = new Int32Array(TABLES_BYTES / 4);
  for (let byte = 0; byte < 256; byte += 1) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc & 1) === 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    tables[byte] = crc;
  }
  for (let at = 256; at < tables.length; at += 1) {
    const before = tables[at - 256] ?? 0;
    tables[at] = (before >>> 8) ^ (tables[before & 0xff] ?? 0);
  }
  return tables;
}

/** Adds the bytes from ADDRESS to END. */
function rest(): readonly Instruction[] {
  return [whileLeft(16, [...step(4), ...skip(16)]), whileLeft(8, [...step(2), ...skip(8)]), ...lastStep()];
}

function whileLeft(bytes: number, body: readonly Instruction[]): Instruction {
  return whileTrue([local.get(ADDRESS), i32.const(bytes), i32.add, local.get(END), i32.lessOrEqualUnsigned], body);
}

function skip(bytes: number): readonly Instruction[] {
  return [local.get(ADDRESS), i32.const(bytes), i32.add, local.set(ADDRESS)];
}

/** Adds so many words of four bytes at ADDRESS. */
function step(count: 1 | 2 | 4): readonly Instruction[] {
  const words = WORDS.slice(0, count);
  const [first = 0] = words;
  return [
    ...words.flatMap((word, index) => [local.get(ADDRESS), i32.load(4 * index), local.set(word)]),
    ...[local.get(first), local.get(CRC), i32.xor, local.set(first)],
    ...[...lookUp(words), local.set(CRC)],
  ];
}

/**
 * Adds the last 0 to 7 bytes, without a branch that the processor would guess wrong: eight are loaded and shifted up until
 * only those are left, behind zeros, which have no effect before anything else. What of the crc is shifted down beyond
 * them goes into the result as it is.
 */
function lastStep(): readonly Instruction[] {
  const [low, high] = WORDS;
  const bits = [local.get(END), local.get(ADDRESS), i32.subtract, i32.const(3), i32.shiftLeft, i64.extendUnsigned];
  return [
    ...[local.get(ADDRESS), i64.load(0), local.get(CRC), i64.extendUnsigned, i64.xor],
    // In two shifts, since a shift by 64 is none.
    ...[i64.const(56), ...bits, i64.subtract, i64.shiftLeft, i64.const(8), i64.shiftLeft, local.tee(LAST_WORDS)],
    ...[i32.wrap, local.set(low)],
    ...[local.get(LAST_WORDS), i64.const(32), i64.shiftRightUnsigned, i32.wrap, local.set(high)],
    ...[local.get(CRC), i64.extendUnsigned, ...bits, i64.shiftRightUnsigned, i32.wrap],
    ...[...lookUp([low, high]), i32.xor, local.set(CRC)],
  ];
}

/** Leaves the effect of these words on the stack. The first comes last: it waits for the step before, the others do not. */
function lookUp(words: readonly number[]): readonly Instruction[] {
  const effects = words.map((word, index) =>
    [0, 1, 2, 3].flatMap((byte) => {
      const table = 4 * (words.length - index) - byte - 1;
      return [...tableOffset(word, byte), i32.load(table * TABLE_BYTES), ...(byte > 0 ? [i32.xor] : [])];
    }),
  );
  return effects.reverse().flatMap((effect, index) => [...effect, ...(index > 0 ? [i32.xor] : [])]);
}

/** Where the entry of one byte of the word stands in any table: four times the byte. */
function tableOffset(word: number, byte: number): readonly Instruction[] {
  const shift = byte === 0 ? [i32.const(2), i32.shiftLeft] : [i32.const(8 * byte - 2), i32.shiftRightUnsigned];
  return [local.get(word), ...shift, i32.const(0xff << 2), i32.and];
}

function inverted(): readonly Instruction[] {
  return [local.get(CRC), i32.const(-1), i32.xor];
}
