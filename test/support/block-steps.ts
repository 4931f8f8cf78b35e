import fc from 'fast-check';
import type { BlockStep } from './block-history.ts';

/** What happens to a relation's file between two backups. */
export const blockSteps: fc.Arbitrary<readonly BlockStep[]> = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant('write' as const), block: block(), content: content() }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('truncate' as const), blocks: fc.nat({ max: 20 }) }) },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant('extend' as const), blocks: fc.integer({ min: 1, max: 5 }) }),
    },
  ),
  { maxLength: 12 },
);

/** The contents of a file at first. */
export const firstBlocks: fc.Arbitrary<readonly number[]> = fc.array(content(), { maxLength: 24 });

function block(): fc.Arbitrary<number> {
  return fc.nat({ max: 30 });
}

function content(): fc.Arbitrary<number> {
  return fc.integer({ min: 1, max: 1_000_000 });
}
