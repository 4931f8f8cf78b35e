import { basename } from 'node:path';
import { WaldenError } from '../../errors.ts';

const NAME = /^[a-z0-9][a-z0-9._-]{0,62}$/;
const DEFAULT_PORT = 5432;

/** @throws USAGE unless 1 to 63 of a-z, 0-9, `.`, `_`, `-`, beginning with a letter or digit */
export function assertNodeName(text: string): void {
  if (NAME.test(text)) return;
  throw new WaldenError('USAGE', `${JSON.stringify(text)} cannot be the name of a node`, {
    hint: 'use 1 to 63 of a-z, 0-9, ., _ and -, beginning with a letter or digit',
  });
}

/**
 * A name for a server: its host, and what tells it from others there: its port where that is not the usual one, or its
 * directory. `taken`: names of other nodes.
 */
export function nodeName(
  host: string,
  place: { readonly port: number } | { readonly dataDirectory: string },
  taken: ReadonlySet<string>,
): string {
  const mark =
    'port' in place ? (place.port === DEFAULT_PORT ? '' : place.port.toString()) : basename(place.dataDirectory);
  const base =
    [lettersOf(host).slice(0, 40), lettersOf(mark).slice(0, 18)].filter((part) => part !== '').join('-') || 'node';
  for (let number = 1; ; number += 1) {
    const name = number === 1 ? base : `${base}-${number}`;
    if (!taken.has(name)) return name;
  }
}

function lettersOf(text: string): string {
  const letters = text.toLowerCase().replaceAll(/[^a-z0-9._-]+/g, '-');
  return letters.replaceAll(/^[._-]+|[._-]+$/g, '');
}
