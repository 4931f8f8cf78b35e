/**
 * The text of PostgreSQL's configuration files, as guc-file.l reads it: one setting per line, `name = value` or
 * `name value`, names without regard to case, values bare or in single quotes, `#` to the end of the line.
 */

/** One line of a configuration file. */
export interface ConfLine {
  /** As it stands, without the newline. */
  readonly text: string;
  /** In lower case; undefined for empty lines, comments and what is no setting. */
  readonly name: string | undefined;
  /** Without its quotes; empty when the line has none. */
  readonly value: string;
}

export function parseConf(text: string): readonly ConfLine[] {
  const lines = text.split(/\r?\n/);
  if (lines.at(-1) === '') lines.pop();
  return lines.map(parseLine);
}

function parseLine(text: string): ConfLine {
  const match = /^\s*([A-Za-z_][A-Za-z0-9_$]*(?:\.[A-Za-z_][A-Za-z0-9_$]*)?)\s*=?\s*(.*)$/.exec(text);
  if (match?.[1] === undefined) return { text, name: undefined, value: '' };
  return { text, name: match[1].toLowerCase(), value: unquote(match[2] ?? '') };
}

function unquote(rest: string): string {
  const quoted = /^'((?:[^'\\]|''|\\.)*)'/.exec(rest);
  if (quoted?.[1] !== undefined) {
    return quoted[1].replace(/''|\\(.)/g, (_, escaped: string | undefined) => escaped ?? "'");
  }
  return /^[^\s#]*/.exec(rest)?.[0] ?? '';
}

/** `name = 'value'`, quoted as PostgreSQL itself writes postgresql.auto.conf (escape_single_quotes_ascii). */
export function confSetting(name: string, value: string): string {
  return `${name} = '${value.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;
}
