import { describe, expect, it } from 'vitest';
import { partSize } from '../../../../storage-drivers/s3/s3-multipart.ts';

const MEBIBYTE = 1024 ** 2;
const LEAST = 16 * MEBIBYTE;

describe('the size of a part', () => {
  it.each([
    [33 * MEBIBYTE, 16],
    [10_000 * LEAST, 16],
    [10_000 * LEAST + 1, 17],
    [5 * 1024 ** 4, 525],
  ])('of a body of %i bytes is %i MiB', (bodyBytes, expected) => {
    expect(partSize(bodyBytes, LEAST)).toBe(expected * MEBIBYTE);
    expect(Math.ceil(bodyBytes / partSize(bodyBytes, LEAST))).toBeLessThanOrEqual(10_000);
  });
});
