import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ERRORS } from '../../../src/errors.ts';

const text = readFileSync(join(process.cwd(), 'docs/troubleshooting.md'), 'utf8');
const sections = new Map(
  text
    .split(/^## /m)
    .slice(1)
    .map((section) => {
      const [title = '', ...body] = section.split('\n');
      return [title, body.join('\n').trim()] as const;
    }),
);

describe('the table of errors', () => {
  it('gives each code an exit status of its own, from 1 to 125', () => {
    const statuses = Object.values(ERRORS).map(({ exit }) => exit);
    expect(new Set(statuses).size).toBe(statuses.length);
    expect(statuses.every((status) => status >= 1 && status <= 125)).toBe(true);
  });

  it('has a section in docs/troubleshooting.md for each code, in the same order', () => {
    expect([...sections.keys()]).toEqual(Object.keys(ERRORS));
  });

  it.each(Object.entries(ERRORS))('is told rightly in the section of %s', (code, { exit, retryable }) => {
    const first = sections.get(code)?.replaceAll('\n', ' ').split('. ')[0];
    expect(first).toBe(`Exit status ${exit}${retryable ? ', retried' : ''}`);
  });

  it('has hints of one line without a full stop', () => {
    for (const { hint } of Object.values(ERRORS)) expect(hint).toMatch(/^[^\n]+[^.\n]$/);
  });
});
