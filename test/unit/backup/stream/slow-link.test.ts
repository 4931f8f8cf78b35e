import { describe, expect, it } from 'vitest';
import { isLinkSlow } from '../../../../src/backup/stream/slow-link.ts';

const GB = 1_000_000_000;

describe('whether the server had better compress', () => {
  it.each([
    ['not known at once', { elapsedMs: 3999, waitedMs: 3999, bytes: 1, totalBytes: 100 * GB }, undefined],
    [
      'yes when little comes and much is left',
      { elapsedMs: 4000, waitedMs: 3800, bytes: GB / 4, totalBytes: 50 * GB },
      true,
    ],
    ['no when nearly all is here', { elapsedMs: 4000, waitedMs: 3800, bytes: GB / 4, totalBytes: GB }, false],
    ['no when Walden is what is slow', { elapsedMs: 4000, waitedMs: 1000, bytes: GB / 4, totalBytes: 50 * GB }, false],
    ['no when much comes', { elapsedMs: 4000, waitedMs: 3800, bytes: GB, totalBytes: 500 * GB }, false],
    ['yes when nothing comes', { elapsedMs: 9000, waitedMs: 9000, bytes: 0, totalBytes: GB }, true],
  ])('%s', (_what, view, slow) => {
    expect(isLinkSlow(view)).toBe(slow);
  });
});
