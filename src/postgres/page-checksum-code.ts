import { i32, i32x4, type Instruction, local, repeatWhile, v128, type WasmFunction } from './wasm.ts';

/**
 * The sum in the checksum of data pages (pg_checksum_block in checksum_impl.h), as WebAssembly: FNV-1a over 32 lanes of
 * 32-bit words, then two rounds of zeros, then all lanes folded into one by xor. The lanes are four in each of eight
 * vectors, so every 128 bytes of a page are eight steps that do not wait for each other.
 */
export const DATA_PAGE_BYTES = 8192;

const PRIME = 16777619;
const SHIFT = 17;
const VECTOR_BYTES = 16;
/** What each lane begins with (checksumBaseOffsets). */
const BASE_OFFSETS = [
  [0x5b1f36e9, 0xb8525960, 0x02ab50aa, 0x1de66d2a],
  [0x79ff467a, 0x9bb9f8a3, 0x217e7cd2, 0x83e13d2c],
  [0xf8d4474f, 0xe39eb970, 0x42c6ae16, 0x993216fa],
  [0x7b093b5d, 0x98daff3c, 0xf718902a, 0x0b1c9cdb],
  [0xe58f764b, 0x187636bc, 0x5d7b3bb1, 0xe73de7de],
  [0x92bec979, 0xcca6c0b2, 0x304a0979, 0x85aa43d4],
  [0x783125bb, 0x6ca8eaa2, 0xe407eac6, 0x4b5cfc3e],
  [0x9fbf8c76, 0x15ca20be, 0xf2ca9fd3, 0x959bd756],
] as const;
const ROW_BYTES = BASE_OFFSETS.length * VECTOR_BYTES;
/** pd_checksum is the lower half of the page's third word. */
const CHECKSUM_MASK = [0, 0, 0xffff, 0] as const;
const NO_BYTES = v128.const([0, 0, 0, 0]);

// The parameter and the locals, by number.
const ADDRESS = 0;
const PAGE_END = 1;
const PRIMES = 2;
const SUMS = BASE_OFFSETS.map((_, index) => 3 + index);
const [FIRST_SUM = 0, ...OTHER_SUMS] = SUMS;

/** `(address) => sum` of the page that begins there; any address will do. */
export const PAGE_SUM: WasmFunction = {
  parameters: 1,
  locals: ['i32', 'v128', ...SUMS.map(() => 'v128' as const)],
  body: [
    ...[local.get(ADDRESS), i32.const(DATA_PAGE_BYTES), i32.add, local.set(PAGE_END)],
    ...[v128.const([PRIME, PRIME, PRIME, PRIME]), local.set(PRIMES)],
    ...BASE_OFFSETS.flatMap((lanes, index) => [v128.const(lanes), local.set(SUMS[index] ?? 0)]),
    ...withoutChecksum(),
    repeatWhile([
      ...SUMS.flatMap((sum, index) => step(sum, [local.get(ADDRESS), v128.load(index * VECTOR_BYTES)])),
      ...[local.get(ADDRESS), i32.const(ROW_BYTES), i32.add, local.tee(ADDRESS)],
      ...[local.get(PAGE_END), i32.lessThanUnsigned],
    ]),
    ...SUMS.flatMap((sum) => [...step(sum, [NO_BYTES]), ...step(sum, [NO_BYTES])]),
    ...folded(),
  ],
};

/** pd_checksum counts as zero: what the first step is going to mix in is mixed in once before, which takes it out. */
function withoutChecksum(): readonly Instruction[] {
  return [
    ...[local.get(ADDRESS), v128.load(0), v128.const(CHECKSUM_MASK), v128.and],
    ...[local.get(FIRST_SUM), v128.xor, local.set(FIRST_SUM)],
  ];
}

/** sum = (sum ^ words) * PRIME ^ (sum ^ words) >>> SHIFT, in each lane. */
function step(sum: number, words: readonly Instruction[]): readonly Instruction[] {
  return [
    ...[local.get(sum), ...words, v128.xor, local.tee(sum), local.get(PRIMES), i32x4.multiply],
    ...[local.get(sum), i32.const(SHIFT), i32x4.shiftRightUnsigned, v128.xor, local.set(sum)],
  ];
}

/** Leaves the result on the stack. */
function folded(): readonly Instruction[] {
  return [
    ...[local.get(FIRST_SUM), ...OTHER_SUMS.flatMap((sum) => [local.get(sum), v128.xor]), local.set(FIRST_SUM)],
    ...[local.get(FIRST_SUM), i32x4.extractLane(0)],
    ...[1, 2, 3].flatMap((lane) => [local.get(FIRST_SUM), i32x4.extractLane(lane), i32.xor]),
  ];
}
