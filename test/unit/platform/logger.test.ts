import { describe, expect, it } from 'vitest';
import { createLogger, redactPasswords } from '../../../src/platform/logger.ts';

function logged(write: (log: ReturnType<typeof createLogger>) => void, level?: string): Record<string, unknown>[] {
  const lines: string[] = [];
  const log = createLogger(level, { write: (line) => void lines.push(line) });
  write(log);
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe('logging', () => {
  it('writes one JSON object per line, with the level as a word', () => {
    const [line] = logged((log) => {
      log.info({ cluster: 'main' }, 'ready');
    });
    expect(line).toMatchObject({ level: 'info', cluster: 'main', msg: 'ready' });
  });

  it('leaves out what is below the level', () => {
    const lines = logged((log) => {
      log.info('quiet');
      log.warn('loud');
    }, 'warn');
    expect(lines.map(({ msg }) => msg)).toEqual(['loud']);
  });

  it('refuses a level that does not exist', () => {
    expect(() => createLogger('chatty')).toThrow('"chatty" is not a log level');
  });

  it('never writes a password, neither as a member nor inside a text', () => {
    const lines = logged((log) => {
      log.error(
        { config: { conninfo: 'host=a password=hunter2' } },
        'unable to connect with host=a password=hunter2 user=b',
      );
      log.error({ error: { message: "password='hunter2 \\' hunter2' is wrong" } }, 'postgres://me:hunter2@host/db');
    });
    expect(lines).toHaveLength(2);
    expect(JSON.stringify(lines)).not.toContain('hunter2');
  });

  it('leaves other text alone', () => {
    expect(redactPasswords('{"msg":"host=a user=b http://host/path"}\n')).toBe(
      '{"msg":"host=a user=b http://host/path"}\n',
    );
  });
});
