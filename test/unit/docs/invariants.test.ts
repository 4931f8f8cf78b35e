import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const text = readFileSync(join(process.cwd(), 'docs/invariants.md'), 'utf8');
const [rules = '', table = ''] = text.split('## Who defends them');
const rows = table.split('\n').filter((line) => /^\| \d+:/.test(line));

describe('docs/invariants.md', () => {
  it('has a row in its table for each invariant', () => {
    const stated = [...rules.matchAll(/^(\d+)\. /gm)].map(([, number]) => number);
    expect(rows.map((row) => /^\| (\d+):/.exec(row)?.[1])).toEqual(stated);
  });

  it('names tests that exist', () => {
    const named = [...table.matchAll(/`(test\/[^`]+)`/g)].map(([, path]) => path ?? '');
    expect(named.length).toBeGreaterThan(0);
    expect(named.filter((path) => !existsSync(join(process.cwd(), path)))).toEqual([]);
  });
});
