import { isAbsolute } from 'node:path';

/** A file of SQL that must hold in a restored cluster, as `[DATABASE=]FILE` names it. */
export interface DrillCheckFile {
  /** Undefined: the one that the cluster's conninfo names. */
  readonly database: string | undefined;
  /** Absolute in the configuration. */
  readonly file: string;
}

/** A path begins with `/`; in what does not, the database comes before the first `=`. */
export function parseDrillCheck(text: string): DrillCheckFile {
  const equals = text.indexOf('=');
  if (isAbsolute(text) || equals < 1) return { database: undefined, file: text };
  return { database: text.slice(0, equals), file: text.slice(equals + 1) };
}
