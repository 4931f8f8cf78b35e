import { readFile } from 'node:fs/promises';

const LOG_TAIL_LINES = 12;

/** Why a server ended, in its own last words, else in those of whoever started it. */
export async function lastWords(log: string, cause: unknown): Promise<string> {
  const text = await readFile(log, 'utf8').catch(() => '');
  const lines = text.trim().split('\n').slice(-LOG_TAIL_LINES);
  const telling = lines.filter((line) => /\b(FATAL|PANIC|ERROR)\b/.test(line));
  const last = telling.at(-1) ?? lines.at(-1) ?? '';
  if (last !== '') return last.trim();
  return cause instanceof Error ? cause.message.trim() : 'nothing says why';
}
