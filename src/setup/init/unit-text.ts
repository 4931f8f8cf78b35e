import { isBelow } from './is-below.ts';

export interface UnitFacts {
  readonly user: string;
  readonly group: string;
  /** Program and words. */
  readonly command: readonly string[];
  /** Directories that the service writes to. */
  readonly directories: readonly string[];
}

/** The packaged unit with the user and the paths of this host. */
export function unitText(packaged: string, { user, group, command, directories }: UnitFacts): string {
  const values: Readonly<Record<string, string>> = {
    User: user,
    Group: group,
    ExecStart: command.map(unitWord).join(' '),
    ...(directories.some((directory) => isBelow(directory, '/home')) ? { ProtectHome: 'no' } : {}),
  };
  return packaged
    .split('\n')
    .map((line) => {
      const name = /^(\w+)=/.exec(line)?.[1];
      return name !== undefined && Object.hasOwn(values, name) ? `${name}=${values[name] ?? ''}` : line;
    })
    .join('\n');
}

/** systemd.service(5): `%` and `$` are specifiers and variables unless doubled; quotes as in C. */
function unitWord(text: string): string {
  const word = text.replaceAll('%', '%%').replaceAll('$', '$$$$');
  return /^[\w@+:,./%$=-]+$/.test(word) ? word : `"${word.replaceAll(/["\\]/g, String.raw`\$&`)}"`;
}
