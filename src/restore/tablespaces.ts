import { isAbsolute, normalize, relative } from 'node:path';
import { WaldenError } from '../errors.ts';

/** Where a tablespace of the backup goes. */
export interface TablespacePlace {
  readonly oid: number;
  /** Where it stood when the backup was taken. */
  readonly original: string;
  /** Absolute and normalised. */
  readonly location: string;
}

/**
 * Applies `--tablespace-map OLD=NEW`; what is not mapped goes back to where it stood.
 * @throws USAGE for an entry that maps nothing, for relative paths, and for places that lie in one another
 */
export function mapTablespaces(
  tablespaces: readonly { readonly oid: number; readonly location: string }[],
  map: Readonly<Record<string, string>>,
  dataDirectory: string | undefined,
): readonly TablespacePlace[] {
  const wanted = new Map(Object.entries(map).map(([from, to]) => [tidy(from), to]));
  const places = tablespaces.map(({ oid, location }) => {
    const to = wanted.get(tidy(location)) ?? location;
    if (!isAbsolute(to)) {
      throw new WaldenError(
        'USAGE',
        `tablespace ${location} cannot go to ${JSON.stringify(to)}: not an absolute path`,
        {
          hint: `for example: --tablespace-map ${location}=/new/place`,
        },
      );
    }
    return { oid, original: location, location: tidy(to) };
  });
  const known = new Set(tablespaces.map(({ location }) => tidy(location)));
  for (const from of wanted.keys()) {
    if (known.has(from)) continue;
    throw new WaldenError('USAGE', `the backup has no tablespace at ${from}`, {
      hint: known.size === 0 ? 'it has no tablespaces at all' : `it has: ${[...known].join(', ')}`,
    });
  }
  const all = places.map(({ location }) => location);
  assertApart(dataDirectory === undefined ? all : [tidy(dataDirectory), ...all]);
  return places;
}

function assertApart(all: readonly string[]): void {
  for (const [index, one] of all.entries()) {
    const other = all.find((candidate, at) => at !== index && contains(candidate, one));
    if (other === undefined) continue;
    throw new WaldenError('USAGE', `${one} lies inside ${other}: data directory and tablespaces must lie apart`, {
      hint: 'name other places with: --tablespace-map OLD=NEW',
    });
  }
}

function contains(outer: string, inner: string): boolean {
  const path = relative(outer, inner);
  return path === '' || (!path.startsWith('..') && !isAbsolute(path));
}

function tidy(path: string): string {
  const normal = normalize(path);
  return normal.length > 1 && normal.endsWith('/') ? normal.slice(0, -1) : normal;
}
