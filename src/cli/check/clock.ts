import { type Check, ok, valueOf, warning } from './facts.ts';

const APART_MS = 2_000;

/** Recovery targets are moments of the server's clock, and people read them from others. */
export const checkClock: Check = ({ server }) => {
  const view = valueOf(server);
  if (view === undefined) return [];
  const { clockAheadMs, clockDoubtMs } = view;
  const seconds = Math.round(clockAheadMs) / 1000;
  const measure = { label: 'clock', value: seconds, unit: 's' } as const;
  if (Math.abs(clockAheadMs) - clockDoubtMs / 2 <= APART_MS) {
    return [ok('clock', 'server and this host agree', measure)];
  }
  const fact = `the server is ${Math.abs(seconds)} s ${seconds > 0 ? 'ahead of' : 'behind'} this host`;
  return [warning('clock', fact, 'have both follow the same time servers; a --time is one of the server', measure)];
};
