import { type AST, ParseError, parseTOML } from 'toml-eslint-parser';
import type { ConfigProblems } from './problems.ts';

/** A value and where it stands. */
export interface TomlLeaf {
  readonly path: readonly string[];
  readonly line: number;
  readonly value: TomlValue;
}

export type TomlValue =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'integer'; readonly integer: bigint }
  | { readonly type: 'switch'; readonly on: boolean }
  | { readonly type: 'list'; readonly items: readonly TomlValue[] }
  | { readonly type: 'other'; readonly what: string };

/** A table that the file opens, with values or without. */
export interface TomlTable {
  readonly path: readonly string[];
  readonly line: number;
}

export interface TomlFile {
  readonly tables: readonly TomlTable[];
  readonly leaves: readonly TomlLeaf[];
}

/** Reads the syntax only: tables in any of TOML's notations become the same leaves. Undefined when it is not TOML. */
export function readToml(text: string, problems: ConfigProblems): TomlFile | undefined {
  try {
    const tables: TomlTable[] = [];
    const leaves: TomlLeaf[] = [];
    const [top] = parseTOML(text, { tomlVersion: '1.0' }).body;
    for (const node of top.body) collect(node, [], { tables, leaves }, problems);
    return { tables, leaves };
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    problems.add(error.lineNumber, undefined, `not TOML: ${lowerFirst(error.message)}`);
    return undefined;
  }
}

function collect(
  node: AST.TOMLTable | AST.TOMLKeyValue,
  prefix: readonly string[],
  into: { readonly tables: TomlTable[]; readonly leaves: TomlLeaf[] },
  problems: ConfigProblems,
): void {
  const path = [...prefix, ...node.key.keys.map((key) => (key.type === 'TOMLBare' ? key.name : key.value))];
  const line = node.key.loc.start.line;
  if (node.type === 'TOMLTable') {
    if (node.kind === 'array') problems.add(line, path.join('.'), 'a list of tables [[…]] has no meaning here');
    into.tables.push({ path, line });
    for (const child of node.body) collect(child, path, into, problems);
  } else if (node.value.type === 'TOMLInlineTable') {
    into.tables.push({ path, line });
    for (const child of node.value.body) collect(child, path, into, problems);
  } else {
    into.leaves.push({ path, line, value: valueOf(node.value) });
  }
}

function valueOf(node: AST.TOMLContentNode): TomlValue {
  if (node.type === 'TOMLArray') return { type: 'list', items: node.elements.map(valueOf) };
  if (node.type === 'TOMLInlineTable') return { type: 'other', what: 'a table' };
  switch (node.kind) {
    case 'string':
      return { type: 'text', text: node.value };
    case 'integer':
      return { type: 'integer', integer: node.bigint };
    case 'float':
      return { type: 'other', what: 'a number with a fraction' };
    case 'boolean':
      return { type: 'switch', on: node.value };
    case 'offset-date-time':
    case 'local-date-time':
    case 'local-date':
    case 'local-time':
      return { type: 'other', what: 'a date or time' };
  }
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
