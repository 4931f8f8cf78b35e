import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { archiveCommand, offlineRestoreCommand, restoreCommand, scriptPath } from '../../../src/config/command-line.ts';

/** What PostgreSQL does with a command setting: `%%` is a percent sign, `%f` and `%p` are replaced. */
function substitute(command: string): string {
  return command.replaceAll(/%(.)/g, (_all, letter: string) =>
    letter === 'f' ? 'NAME' : letter === 'p' ? 'PATH' : letter,
  );
}

/** The words that a shell makes of a command, its first word replaced. */
function words(command: string): readonly string[] {
  const text = execFileSync('sh', ['-c', `set -- ${command}; for word; do printf '%s\\0' "$word"; done`], {
    encoding: 'utf8',
  });
  return text.split('\0').slice(0, -1);
}

/** What the script is given when a shell runs the command: `.` is replaced by something that prints it. */
function wordsAtScript(command: string): readonly string[] {
  expect(command).toContain('; . /');
  const printing = `${command.replace('; . /', `; printf '%s\\0' "$@" /`)}; trap - EXIT`;
  const text = execFileSync('sh', ['-c', printing], { encoding: 'utf8' });
  return text.split('\0').slice(0, -1);
}

describe('the generated command settings', () => {
  it('pass the script configuration whole, whatever its path is called', () => {
    const path = fc.string({ minLength: 1 }).filter((text) => !text.includes('\0') && !/[\n\r]/.test(text));
    fc.assert(
      fc.property(path, (config) => {
        expect(wordsAtScript(substitute(restoreCommand(config)))).toEqual([
          ...[config, 'NAME', 'PATH', scriptPath('walden-fetch')],
        ]);
        expect(wordsAtScript(substitute(archiveCommand(config)))).toEqual([config, 'PATH', scriptPath('walden-push')]);
      }),
      { numRuns: 30 },
    );
  });

  it('needs no service when it reads a repository directly', () => {
    expect(words(substitute(offlineRestoreCommand(['--repository-path', "/mnt/it's 100% here"], 'main')))).toEqual([
      process.execPath,
      scriptPath('walden'),
      ...['wal', 'fetch', '--repository-path', "/mnt/it's 100% here", 'main', 'NAME', 'PATH'],
    ]);
  });
});
