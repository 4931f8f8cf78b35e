import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { optionsDocument } from '../../../src/config/options-document.ts';

describe('docs/options.md', () => {
  it('is what `npm run docs` makes of the option table', () => {
    expect(readFileSync(join(process.cwd(), 'docs/options.md'), 'utf8')).toBe(optionsDocument());
  });
});
