import { restoreCommand } from '../../config/command-line.ts';

/** Where restore_command gets WAL from. */
export interface RestoreSource {
  readonly kind: 'none' | 'service' | 'repository' | 'other';
  /**
   * The repository, or the first word of another command: the rest may hold secrets. Of walden-fetch its configuration, or
   * null where that leads to this service.
   */
  readonly name: string | null;
}

/** What a restore_command says. `own`: the configuration of walden-fetch that leads to this service from the node's host. */
export function restoreSource(command: string, own: string | undefined): RestoreSource {
  if (command.trim() === '') return { kind: 'none', name: null };
  if (own !== undefined && command === restoreCommand(own)) return { kind: 'service', name: null };
  const words = wordsOf(command);
  if (words.some((word) => isProgram(word, 'walden-fetch'))) {
    const config = words[words.indexOf('%f') - 1] ?? null;
    return { kind: 'service', name: config === own ? null : config };
  }
  const fetch = words.findIndex((word, index) => word === 'fetch' && words[index - 1] === 'wal');
  if (fetch >= 2 && isProgram(words[fetch - 2] ?? '', 'walden')) {
    const option = words.findIndex((word) => word === '--repository' || word === '--repository-path');
    return { kind: 'repository', name: option < 0 ? null : (words[option + 1] ?? null) };
  }
  // What a shell sets before the program may be a secret.
  return { kind: 'other', name: words.find((word) => !/^\w+=/.test(word)) ?? null };
}

function isProgram(word: string, name: string): boolean {
  return word === name || word.endsWith(`/${name}`);
}

/** As a shell cuts a simple command, with PostgreSQL's `%%` undone. */
function wordsOf(command: string): readonly string[] {
  const found = command.matchAll(/(?:'[^']*'|"[^"]*"|\\.|[^\s;'"\\])+/g);
  return [...found].map(([word]) =>
    word
      .replaceAll(
        /'([^']*)'|"([^"]*)"|\\(.)/g,
        (_all, one?: string, two?: string, three?: string) => one ?? two ?? three ?? '',
      )
      .replaceAll('%%', '%'),
  );
}
