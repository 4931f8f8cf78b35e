import { afterAll, describe, expect, it } from 'vitest';
import { THREAD_ROOM_BYTES, withThreadRoom } from '../../../src/platform/thread-rooms.ts';
import { createWorkerPool } from '../../../src/platform/worker-pool.ts';
import { frameBound } from '../../../src/repository/codec.ts';
import { FRAME_BYTES } from '../../../src/wal/archive-target.ts';
import { occupyTask, visitTask } from '../../support/room-worker.ts';
import { until } from '../../support/until.ts';

const pool = createWorkerPool(new URL('../../support/room-worker.js', import.meta.url), 2);
afterAll(() => pool.close());

const newGate = (): SharedArrayBuffer => new SharedArrayBuffer(8);
const arrivedAt = (gate: SharedArrayBuffer): number => Atomics.load(new Int32Array(gate), 0);
function open(gate: SharedArrayBuffer): void {
  Atomics.store(new Int32Array(gate), 1, 1);
  Atomics.notify(new Int32Array(gate), 1);
}

describe('the rooms of the threads of a pool', () => {
  it('are different ones for tasks that run at the same time', async () => {
    const gate = newGate();
    const visits = [1, 2].map((mark) => pool.run(visitTask, { mark, gate }));
    await until(() => arrivedAt(gate) === 2, { what: 'both tasks to be at work' });
    open(gate);
    const [one, other] = await Promise.all(visits);
    expect(one!.thread).not.toBe(other!.thread);
    expect([one!.left, other!.left]).toEqual([1, 2]);
  });

  it('are the same one for tasks that run one after the other, on whatever thread', async () => {
    await pool.run(visitTask, { mark: 10, fails: true }).catch(() => undefined);
    const first = await pool.run(visitTask, { mark: 11 });
    expect(first.found).toBe(10);
    const gate = newGate();
    // One for each thread: the one of the first visit is busy then.
    const occupied = [1, 2].map(() => pool.run(occupyTask, { thread: first.thread, gate }));
    await until(() => arrivedAt(gate) === 1, { what: 'the thread to be busy' });
    const second = await pool.run(visitTask, { mark: 12 });
    open(gate);
    await Promise.all(occupied);
    expect(second.thread).not.toBe(first.thread);
    expect(second.found).toBe(11);
  });

  it('hold a WAL file, and what it is compressed to', () => {
    expect(FRAME_BYTES + frameBound(FRAME_BYTES)).toBeLessThanOrEqual(THREAD_ROOM_BYTES);
  });
});

describe('a room outside of a pool', () => {
  it('is there as well', () => {
    expect(withThreadRoom((room) => room.length)).toBe(THREAD_ROOM_BYTES);
  });
});
