import { formatLsn } from '../postgres/lsn.ts';
import type { TailSegment } from '../wal/tail.ts';

/** What a restore must not be thought to find in the repositories. */
export function tailNotes(
  fromTail: readonly TailSegment[],
  /** What recovery to the latest moment does not get to. */
  unused: readonly TailSegment[],
): readonly string[] {
  const whole = fromTail.filter(({ isWhole }) => isWhole).map(({ name }) => name);
  const unfinished = fromTail.find(({ isWhole }) => !isWhole);
  const [first] = whole;
  const last = whole.at(-1) ?? first;
  return [
    ...unused
      .filter(({ storedIn }) => storedIn === undefined)
      .map(
        ({ name }) => `${name} in the receiver's spool is not replayed: it is behind a hole, or of another timeline`,
      ),
    ...(first === undefined
      ? []
      : [
          `not in the repository yet, but taken from the receiver's spool: ${first}${first === last ? '' : ` to ${last}`}`,
        ]),
    ...(unfinished === undefined
      ? []
      : [
          `segment ${unfinished.name} is unfinished: it is known up to LSN ${formatLsn(unfinished.end)}, ` +
            whereIs(unfinished),
        ]),
  ];
}

function whereIs({ storedIn, keptAs }: TailSegment): string {
  if (keptAs !== undefined) return `as it was put aside when the receiver left its timeline: ${keptAs}`;
  return storedIn === undefined
    ? "in the receiver's spool, which only this service has"
    : `as it was stored last in repository ${storedIn}`;
}
