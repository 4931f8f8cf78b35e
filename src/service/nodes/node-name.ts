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

/** A name for a server: its host, and its port where that is not the usual one. `taken`: those of other nodes. */
export function nodeName(host: string, port: number | undefined, taken: ReadonlySet<string>): string {
  const suffix = port === undefined || port === DEFAULT_PORT ? '' : `-${port}`;
  const letters = host.toLowerCase().replaceAll(/[^a-z0-9._-]+/g, '-');
  const base = `${letters.replace(/^[._-]+/, '').slice(0, 50) || 'node'}${suffix}`;
  for (let number = 1; ; number += 1) {
    const name = number === 1 ? base : `${base}-${number}`;
    if (!taken.has(name)) return name;
  }
}
