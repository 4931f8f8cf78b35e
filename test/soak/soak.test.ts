import { describe, expect, it } from 'vitest';
import { runSoak } from './soak.ts';
import { VICTIMS } from './victims.ts';

/** WALDEN_SOAK_SEED tries other choices; `npm run soak` goes on for longer. */
const SEED = Number(process.env['WALDEN_SOAK_SEED'] ?? 20_261_122);

describe('the real thing, killed at random moments', () => {
  it(
    'loses nothing that was acknowledged and leaves nothing behind',
    async () => {
      const report = await runSoak({ version: 17, seed: SEED, goOn: (kills) => kills < VICTIMS.length });
      expect(report.problems, `WALDEN_SOAK_SEED=${SEED}\n${report.logs}`).toEqual([]);
      expect(report.acknowledged).toBeGreaterThan(0);
    },
    // Everything in it that waits has a deadline of its own.
    600_000,
  );
});
