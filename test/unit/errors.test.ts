import { describe, expect, it } from 'vitest';
import { ERRORS, errorFromDocument, errorToDocument, systemErrorCode, WaldenError } from '../../src/errors.ts';

describe('the table of errors', () => {
  it('gives each code an exit status of its own, which PostgreSQL takes for a failed archive_command', () => {
    const statuses = Object.values(ERRORS).map(({ exit }) => exit);
    expect(new Set(statuses).size).toBe(statuses.length);
    expect(Math.min(...statuses)).toBeGreaterThanOrEqual(1);
    expect(Math.max(...statuses)).toBeLessThanOrEqual(125);
  });

  it('has hints without a full stop', () => {
    expect(Object.values(ERRORS).filter(({ hint }) => hint.endsWith('.'))).toEqual([]);
  });
});

describe('systemErrorCode', () => {
  it('knows the codes of the system and leaves those of Walden alone', () => {
    expect(systemErrorCode(Object.assign(new Error('no such file'), { code: 'ENOENT' }))).toBe('ENOENT');
    expect(systemErrorCode(new WaldenError('FORMAT_INVALID', 'no segment'))).toBeUndefined();
    expect(systemErrorCode(new Error('plain'))).toBeUndefined();
    expect(systemErrorCode('ENOENT')).toBeUndefined();
  });
});

describe('errorToDocument', () => {
  it('gives a document from which the same error is made', () => {
    const error = new WaldenError('ARCHIVE_GAP', 'a hole', { hint: 'look', details: { first: 'x' } });
    const again = errorFromDocument(errorToDocument(error));
    expect([again.code, again.message, again.hint, again.details]).toEqual([
      'ARCHIVE_GAP',
      'a hole',
      'look',
      { first: 'x' },
    ]);
  });

  it('calls what was never expected INTERNAL', () => {
    expect(errorToDocument(new TypeError('x is not a function'))).toMatchObject({ code: 'INTERNAL' });
    expect(errorFromDocument({ code: 'NEVER_HEARD' as 'USAGE', message: '', hint: '', details: {} }).code).toBe(
      'INTERNAL',
    );
  });
});
