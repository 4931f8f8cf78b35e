import { describe, expect, it } from 'vitest';
import { passwordIn } from '../../../src/postgres/passfile.ts';

const SOUGHT = { host: 'db1', port: '5432', databases: ['replication', 'postgres'], user: 'walden' };

describe('passwordIn', () => {
  it.each([
    ['every field', 'db1:5432:postgres:walden:sesame', 'sesame'],
    ['stars', '*:*:*:*:sesame', 'sesame'],
    ['the name of connections for replication', 'db1:*:replication:walden:sesame', 'sesame'],
    ['an escaped colon and backslash in the password', String.raw`*:*:*:walden:a\:b\\c`, String.raw`a:b\c`],
    ['an escaped star, which is no star', String.raw`\*:*:*:walden:no`, 'no'],
    ['lines of a file from elsewhere', '*:*:*:walden:sesame\r\n', 'sesame'],
    ['an empty password', '*:*:*:walden:', ''],
  ])('takes a line with %s', (_, text, expected) => {
    expect(passwordIn(text, { ...SOUGHT, host: text.startsWith('\\*') ? '*' : SOUGHT.host })).toBe(expected);
  });

  it('takes the first line that fits', () => {
    const text = ['#*:*:*:*:comment', 'db2:*:*:*:other', '', '*:*:*:walden:first', '*:*:*:*:second'].join('\n');
    expect(passwordIn(text, SOUGHT)).toBe('first');
  });

  it.each(['', 'db1:5432:postgres', '*:5433:*:*:port', '*:*:other:*:database', '*:*:*:somebody:role'])(
    'finds nothing in %j',
    (text) => {
      expect(passwordIn(text, SOUGHT)).toBeUndefined();
    },
  );
});
