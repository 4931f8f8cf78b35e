import { readFileSync } from 'node:fs';

/** The version in package.json, seen from the compiled place dist/src. */
export const WALDEN_VERSION = readVersion();

function readVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { readonly version: string }).version;
}
