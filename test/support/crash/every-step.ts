import { expect } from 'vitest';
import { MortalProcess } from './mortal-process.ts';

/**
 * Lets a process die at its first step, at its second, and so on, until one comes to its end alive: that one shows how many
 * steps there are. `scene` sets everything up anew, does the work in the process it is given, and looks at what is left.
 * @returns the number of steps at which a process died
 */
export async function atEveryStep(scene: (process: MortalProcess) => Promise<void>): Promise<number> {
  for (let diesAt = 1; ; diesAt += 1) {
    const process = new MortalProcess(diesAt);
    try {
      await scene(process);
    } catch (error) {
      const [at, what] = [process.steps.length, process.steps.at(-1)];
      throw new Error(`with the death at step ${diesAt} (came to ${at}: ${what ?? ''})`, { cause: error });
    }
    if (process.died) continue;
    expect(diesAt).toBeGreaterThan(1);
    return diesAt - 1;
  }
}

/** The process's own end: its result, or undefined when it died. What else goes wrong in it is thrown. */
export async function untilDeath<Result>(
  process: MortalProcess,
  work: () => Promise<Result>,
): Promise<Result | undefined> {
  try {
    const result = await process.run(work);
    return process.died ? undefined : result;
  } catch (error) {
    if (process.died) return undefined;
    throw error;
  }
}
