/**
 * When a schedule is due. Pure: moments are milliseconds since 1970; which times an expression names comes from `next`,
 * which gives the first one later than a moment.
 */

export interface RunRules {
  readonly next: (after: number) => number | undefined;
  /** How much later than planned it begins; the same each time. */
  readonly offset: number;
  /** How late it may still begin. */
  readonly window: number;
}

export interface RunState {
  /** The planned time up to which all is settled: begun, or left out. */
  readonly settled: number;
  /** From when on the run of `settled` may be begun once more; undefined: it is not to be. */
  readonly repeatAt: number | undefined;
  /** Whether a job is in its way: its own last one, or another of its kind. */
  readonly isBusy: boolean;
}

export type RunDecision =
  /** For `planned`; earlier times that nobody began are covered by it. */
  | { readonly action: 'begin'; readonly planned: number }
  /** What was planned up to then can no longer begin. */
  | { readonly action: 'miss'; readonly planned: number }
  /** Nothing before `until` (undefined: never), unless what is in its way ends. `planned`: what waits for that. */
  | { readonly action: 'wait'; readonly until: number | undefined; readonly planned: number | undefined };

/** A clock that was further ahead than this when the state was kept was wrong. */
const LONGEST_STEP_BACK = 86_400_000;

export function planRun(rules: RunRules, state: RunState, now: number): RunDecision {
  const { next, offset, window } = rules;
  const settled = state.settled - now > LONGEST_STEP_BACK ? now : state.settled;
  const first = next(settled);
  if (first !== undefined && first <= now - offset) return planDue(rules, { ...state, settled }, first, now);
  const upcoming = first === undefined ? undefined : first + offset;
  const latest = settled + offset + window;
  const { repeatAt, isBusy } = state;
  if (repeatAt === undefined || repeatAt > latest) return { action: 'wait', until: upcoming, planned: undefined };
  if (now > latest) return { action: 'miss', planned: settled };
  if (!isBusy && now >= repeatAt) return { action: 'begin', planned: settled };
  const until = now < repeatAt ? repeatAt : latest + 1;
  return { action: 'wait', until: Math.min(until, upcoming ?? until), planned: settled };
}

/** `first`: the first of the times that have come and are not settled. What was to be repeated is covered by the last. */
function planDue(
  { next, offset, window }: RunRules,
  { settled, isBusy }: RunState,
  first: number,
  now: number,
): RunDecision {
  const due = now - offset;
  const planned = lastUpTo(next, settled, due) ?? first;
  if (due - planned > window) return { action: 'miss', planned };
  if (isBusy) return { action: 'wait', until: planned + offset + window + 1, planned };
  if (due - first <= window) return { action: 'begin', planned };
  return { action: 'miss', planned: lastUpTo(next, settled, due - window - 1) ?? first };
}

/** The last planned time behind `since` and not later than `end`: by halving, since `next` never goes back. */
export function lastUpTo(next: RunRules['next'], since: number, end: number): number | undefined {
  const isThere = (after: number): boolean => (next(after) ?? Number.POSITIVE_INFINITY) <= end;
  if (!isThere(since)) return undefined;
  // As it is nearly always.
  const first = next(since);
  if (first !== undefined && !isThere(first)) return first;
  let [low, high] = [since, end];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (isThere(middle)) low = middle;
    else high = middle;
  }
  return next(low);
}
