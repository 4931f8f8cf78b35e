import { describe, expect, it } from 'vitest';
import { LentBytes } from '../../../storage-drivers/lent-bytes.ts';
import { collect, sha256Of } from '../../support/bodies.ts';

const BYTES = Buffer.from('lent');

describe('bytes that are lent', () => {
  it('are a body like any other', async () => {
    const body = new LentBytes(BYTES).body();
    expect([body.size, await body.sha256(), await collect(body.open())]).toEqual([4, sha256Of(BYTES), BYTES]);
  });

  it('are free again after one attempt of each store, or none', async () => {
    const lent = new LentBytes(BYTES);
    const bodies = [lent.body(), lent.body(), lent.body()];
    bodies[0]?.bytes?.();
    await collect(bodies[1]!.open());
    expect(lent.isFree).toBe(true);
  });

  it.each([
    ['asked for twice', (body: ReturnType<LentBytes['body']>) => [body.bytes?.(), body.bytes?.()]],
    ['asked for and opened', (body: ReturnType<LentBytes['body']>) => [body.bytes?.(), body.open()]],
    ['copied, and asked for twice', (body: ReturnType<LentBytes['body']>) => [{ ...body }.bytes?.(), body.bytes?.()]],
  ])('are not, once one body was %s, whatever the others were', (_how, use) => {
    const lent = new LentBytes(BYTES);
    const [first] = [lent.body(), lent.body()];
    use(first);
    expect(lent.isFree).toBe(false);
  });
});
