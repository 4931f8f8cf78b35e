import { WaldenError } from '../errors.ts';

/**
 * A small assembler for WebAssembly, for the loops over every byte that JavaScript is slow at: it has neither SIMD nor
 * reads without a check of the index. It knows modules of one function over one memory, and the instructions that
 * page-checksum-code.ts and crc32c-code.ts use; the numbers are those of the WebAssembly core specification, version 2.0,
 * section 5 (binary format).
 */

/** The encoding of one instruction, or of several in a row. */
export type Instruction = readonly number[];

export type ValueType = 'i32' | 'i64' | 'v128';

export interface WasmFunction {
  /** All of them i32, as are pointers. */
  readonly parameters: number;
  /** Numbered on from the parameters; zero at first. The result is one i32. */
  readonly locals: readonly ValueType[];
  readonly body: readonly Instruction[];
}

/** The part of WebAssembly's API that is used here; the types of Node 20 leave it to the browser's. */
declare const WebAssembly: {
  readonly Memory: new (limits: { readonly initial: number; readonly maximum: number }) => WasmMemory;
  readonly Module: new (code: Uint8Array) => WasmModule;
  readonly Instance: new (
    module: WasmModule,
    imports: { readonly host: { readonly memory: WasmMemory } },
  ) => { readonly exports: { readonly run: (...parameters: number[]) => number } };
};

export interface WasmMemory {
  readonly buffer: ArrayBuffer;
}

/** What `compile` made. */
export type WasmModule = object;

const MEMORY_PAGE_BYTES = 65536;

/**
 * Zeros, rounded up to whole 64 KiB. It never grows, so views of its buffer stay valid. However small, it takes some 10 GiB
 * of address space (not of memory): V8 fences it so, to do without a check of each access.
 * @throws LOCAL_IO when the system does not give it
 */
export function createMemory(bytes: number): WasmMemory {
  const pages = Math.ceil(bytes / MEMORY_PAGE_BYTES);
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: pages });
  } catch (cause) {
    throw new WaldenError('LOCAL_IO', `unable to allocate ${bytes} bytes of memory for WebAssembly`, {
      hint: 'it needs 10 GiB of address space: lift the limit (ulimit -v, LimitAS of systemd)',
      cause,
    });
  }
}

/** For any number of memories. Code that is not valid, a mistake of the programmer, makes it throw a CompileError. */
export function compile(code: WasmFunction): WasmModule {
  return new WebAssembly.Module(Uint8Array.from(encodeModule(code)));
}

/** The function, at work on this memory. */
export function bind(module: WasmModule, memory: WasmMemory): (...parameters: number[]) => number {
  return new WebAssembly.Instance(module, { host: { memory } }).exports.run;
}

const SECTION = { type: 1, import: 2, function: 3, export: 7, code: 10 } as const;
const TYPE = { i32: 0x7f, i64: 0x7e, v128: 0x7b, function: 0x60, none: 0x40 } as const;
const KIND = { function: 0, memory: 2 } as const;
const END = 0x0b;
/** The prefix of all vector instructions. */
const VECTOR = 0xfd;

function encodeModule({ parameters, locals, body }: WasmFunction): Instruction {
  const signature = [TYPE.function, ...list(Array<Instruction>(parameters).fill([TYPE.i32])), ...list([[TYPE.i32]])];
  // Limits without a maximum (0) and without a minimum (0): any memory will do, and an access beyond its end traps.
  const memory = [...name('host'), ...name('memory'), KIND.memory, 0, 0];
  const code = [...list(locals.map((type) => [1, TYPE[type]])), ...body.flat(), END];
  return [
    // The magic number and version 1.
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(SECTION.type, signature),
    ...section(SECTION.import, memory),
    ...section(SECTION.function, [0]),
    ...section(SECTION.export, [...name('run'), KIND.function, 0]),
    ...section(SECTION.code, sized(code)),
  ];
}

/** Each section here holds one item. */
function section(id: number, item: Instruction): Instruction {
  return [id, ...sized(list([item]))];
}

function list(items: readonly Instruction[]): Instruction {
  return [...unsigned(items.length), ...items.flat()];
}

function sized(bytes: Instruction): Instruction {
  return [...unsigned(bytes.length), ...bytes];
}

function name(text: string): Instruction {
  return sized([...Buffer.from(text)]);
}

/** LEB128: seven bits a byte, the lowest first, the eighth says that more follow. */
function unsigned(value: number): Instruction {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)];
}

/** The same in two's complement: the last byte's seventh bit is the sign. */
function signed(value: number): Instruction {
  return value >= -0x40 && value < 0x40 ? [value & 0x7f] : [(value & 0x7f) | 0x80, ...signed(value >> 7)];
}

export const local = {
  get: (index: number): Instruction => [0x20, ...unsigned(index)],
  set: (index: number): Instruction => [0x21, ...unsigned(index)],
  /** Sets it and leaves the value on the stack. */
  tee: (index: number): Instruction => [0x22, ...unsigned(index)],
};

export const i32 = {
  const: (value: number): Instruction => [0x41, ...signed(value)],
  /** Four bytes at the address on the stack plus `offset`; the address need not be aligned (the hint is 2^0). */
  load: (offset: number): Instruction => [0x28, 0, ...unsigned(offset)],
  lessThanUnsigned: [0x49],
  lessOrEqualUnsigned: [0x4d],
  add: [0x6a],
  subtract: [0x6b],
  and: [0x71],
  xor: [0x73],
  shiftLeft: [0x74],
  shiftRightUnsigned: [0x76],
  /** The lower half of the i64 on the stack. */
  wrap: [0xa7],
};

export const i64 = {
  /** Eight bytes, as i32.load. */
  load: (offset: number): Instruction => [0x29, 0, ...unsigned(offset)],
  const: (value: number): Instruction => [0x42, ...signed(value)],
  subtract: [0x7d],
  xor: [0x85],
  /** By the i64 on the stack, modulo 64, as all shifts. */
  shiftLeft: [0x86],
  shiftRightUnsigned: [0x88],
  /** Of the i32 on the stack, with zeros above it. */
  extendUnsigned: [0xad],
};

export const v128 = {
  /** 16 bytes at the address on the stack plus `offset`; the address need not be aligned (the hint is 2^0). */
  load: (offset: number): Instruction => [VECTOR, 0x00, 0, ...unsigned(offset)],
  const: (lanes: readonly [number, number, number, number]): Instruction => [
    ...[VECTOR, 0x0c],
    ...lanes.flatMap((lane) => [lane & 0xff, (lane >>> 8) & 0xff, (lane >>> 16) & 0xff, lane >>> 24]),
  ],
  and: [VECTOR, 0x4e],
  xor: [VECTOR, 0x51],
};

export const i32x4 = {
  extractLane: (lane: number): Instruction => [VECTOR, 0x1b, lane],
  /** Shifts each lane by the i32 on the stack. */
  shiftRightUnsigned: [VECTOR, ...unsigned(0xad)],
  multiply: [VECTOR, ...unsigned(0xb5)],
};

/** Does `body`, and again as long as the i32 that it leaves on the stack is not zero. */
export function repeatWhile(body: readonly Instruction[]): Instruction {
  return [0x03, TYPE.none, ...body.flat(), 0x0d, 0, END];
}

/** Does `body` as long as the i32 that `condition` leaves on the stack is not zero. */
export function whileTrue(condition: readonly Instruction[], body: readonly Instruction[]): Instruction {
  // A loop around an if, whose last instruction goes back to the loop's beginning.
  return [0x03, TYPE.none, ...condition.flat(), 0x04, TYPE.none, ...body.flat(), 0x0c, 1, END, END];
}
