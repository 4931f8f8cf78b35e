import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  bind,
  compile,
  createMemory,
  i32,
  i32x4,
  i64,
  local,
  repeatWhile,
  v128,
  whileTrue,
} from '../../../src/postgres/wasm.ts';

const memory = createMemory(65_536);

describe('assembled WebAssembly', () => {
  it('holds numbers of every length', () => {
    const property = fc.property(fc.integer(), (value) => {
      const run = bind(compile({ parameters: 0, locals: [], body: [i32.const(value)] }), memory);
      expect(run()).toBe(value);
    });
    fc.assert(property, { examples: [0, 63, 64, -64, -65, 8191, 8192, -0x8000_0000].map((value) => [value]) });
  });

  it('repeats, with as many locals as it takes', () => {
    const [limit, step, last] = [0, 1, 301];
    const body = [
      repeatWhile([
        ...[local.get(last), local.get(step), i32.add, local.tee(last)],
        ...[local.get(limit), i32.lessThanUnsigned],
      ]),
      local.get(last),
    ];
    const run = bind(compile({ parameters: 2, locals: Array<'i32'>(300).fill('i32'), body }), memory);
    expect([run(10, 3), run(12, 3), run(0, 3)]).toEqual([12, 12, 3]);
    expect(run(0xf000_0000, 0x7800_0000) >>> 0).toBe(0xf000_0000);
  });

  it('does nothing where the condition does not hold at first', () => {
    const [value, limit] = [0, 1];
    const twice = [local.get(value), i32.const(1), i32.shiftLeft, local.set(value)];
    const body = [whileTrue([local.get(value), local.get(limit), i32.lessOrEqualUnsigned], twice), local.get(value)];
    const run = bind(compile({ parameters: 2, locals: [], body }), memory);
    expect([run(3, 2), run(3, 3), run(3, 40)]).toEqual([3, 6, 48]);
  });

  it('works on numbers of 64 bits', () => {
    new DataView(memory.buffer).setBigUint64(4099, 0x8123_4567_89ab_cdefn, true);
    const mixed = [local.get(0), i64.load(4000), local.get(1), i64.extendUnsigned, i64.xor];
    const shift = [i64.const(72), local.get(0), i64.extendUnsigned, i64.subtract];
    const shifted = (by: 'shiftLeft' | 'shiftRightUnsigned') =>
      bind(compile({ parameters: 2, locals: [], body: [...mixed, ...shift, i64[by], i32.wrap] }), memory)(99, -1) >>> 0;
    // 72 - 99 = -27, which is 37 modulo 64.
    expect(shifted('shiftLeft')).toBe(0);
    expect(shifted('shiftRightUnsigned')).toBe(0x8123_4567 >>> 5);
  });

  it('works on four numbers at once, in the memory that it was bound to', () => {
    const numbers = new Uint32Array(memory.buffer, 4096, 4);
    numbers.set([1, 0x8000_0000, 0xffff_ffff, 5]);
    const results = [0, 1, 2, 3].map((lane) => {
      const body = [
        ...[local.get(0), v128.load(4000), v128.const([3, 3, 3, 0xffff_fff0]), i32x4.multiply],
        ...[i32.const(4), i32x4.shiftRightUnsigned, i32x4.extractLane(lane)],
      ];
      return bind(compile({ parameters: 1, locals: [], body }), memory)(96);
    });
    expect(results).toEqual(
      [1, 2, 3, 4].map((_, lane) => (Math.imul(numbers[lane]!, [3, 3, 3, -16][lane]!) >>> 4) | 0),
    );
  });

  it('does not reach beyond its memory', () => {
    const run = bind(
      compile({ parameters: 1, locals: [], body: [local.get(0), v128.load(0), i32x4.extractLane(0)] }),
      memory,
    );
    expect(run(65_520)).toBe(0);
    expect(() => run(65_521)).toThrow(/out of bounds/);
  });
});
