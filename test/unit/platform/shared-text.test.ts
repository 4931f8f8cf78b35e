import { describe, expect, it } from 'vitest';
import { createTextRoom, piecesOfText, type SharedText, shareTexts } from '../../../src/platform/shared-text.ts';

/** Copied: each piece stands where the one before it stood. */
function bytesOf(text: SharedText): Buffer {
  return Buffer.concat(Array.from(piecesOfText(text), (piece) => Buffer.from(piece)));
}

const TEXTS = [
  ['nothing', ''],
  ['letters', 'x'.repeat(200_000)],
  ['signs of three bytes', '€'.repeat(80_000)],
  ['a pair of surrogates where a piece ends', `${'x'.repeat(64 * 1024 - 1)}😀`],
  ['signs of four bytes, cut anywhere', `x${'😀'.repeat(60_000)}`],
] as const;

describe('text from a worker', () => {
  it.each(TEXTS)('gives %s as they are, as a string and in shared memory', (_, text) => {
    const [shared] = shareTexts(createTextRoom(), text);
    expect(shared).toBeTypeOf('object');
    expect(bytesOf(shared).equals(Buffer.from(text))).toBe(true);
    expect(bytesOf(text).equals(Buffer.from(text))).toBe(true);
  });

  it('keeps several apart, and gives what has no room as a string', () => {
    const large = 'y'.repeat(200_000);
    const [first, second, third] = shareTexts(createTextRoom(), large, large, 'small');
    expect(first).toBeTypeOf('object');
    expect(second).toBe(large);
    for (const [shared, text] of [
      [first, large],
      [second, large],
      [third, 'small'],
    ] as const) {
      expect(bytesOf(shared).toString()).toBe(text);
    }
  });
});
