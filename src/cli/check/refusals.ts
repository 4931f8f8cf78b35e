import { count, formatAge } from '../render/units.ts';
import { type Check, failed, ok, valueOf, warning } from './facts.ts';

/** WAL that was not taken, and WAL that nobody has any more. */
export const checkRefusals: Check = ({ service, config, now }) => {
  const status = valueOf(service)?.status;
  if (status === undefined) return [];
  const { refusals, secondWriters } = status.wal;
  const holes = status.repositories.flatMap(({ name, windows }) =>
    windows.flatMap(({ holes: found }) => found.map((hole) => ({ name, ...hole }))),
  );
  return [
    ...secondWriters.map(({ error, lastAt }) =>
      failed('second writer', `${formatAge(lastAt, now)}: ${error.message}`, error.hint),
    ),
    ...refusals.map(({ name, error, lastAt }) =>
      failed('refused wal', `${name}, ${formatAge(lastAt, now)}: ${error.message}`, error.hint),
    ),
    ...(refusals.length === 0 ? [ok('refused wal', 'none')] : []),
    ...holes.map(({ name, first, last, segments }) =>
      warning(
        'holes',
        `in repository ${name} ${count(segments, 'segment')} from ${first} to ${last} are missing`,
        `nothing can be restored across it; walden wal gaps ${config.name} lists all; a backup begins anew behind it`,
      ),
    ),
    ...(holes.length === 0 ? [ok('holes', 'none inside what can be restored')] : []),
  ];
};
