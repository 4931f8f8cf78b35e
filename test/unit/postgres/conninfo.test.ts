import { describe, expect, it } from 'vitest';
import { isWaldenError } from '../../../src/errors.ts';
import { parseConninfo } from '../../../src/postgres/conninfo.ts';

const NO_TLS = { ssl: false };

describe('parseConninfo', () => {
  it('reads pairs of key and value, quoted or not', () => {
    expect(parseConninfo(String.raw`  host = /run/pg port=5433 user='walden' password='a\'b \\c' dbname=x\ y`)).toEqual(
      {
        host: '/run/pg',
        port: 5433,
        user: 'walden',
        password: String.raw`a'b \c`,
        database: 'x y',
        ...NO_TLS,
      },
    );
  });

  it('takes the database postgres where none is named', () => {
    expect(parseConninfo('host=db1').database).toBe('postgres');
    expect(parseConninfo("host=db1 dbname=''").database).toBe('postgres');
    expect(parseConninfo('postgresql://walden@db1').database).toBe('postgres');
  });

  it.each([
    [
      'postgres://walden:p%40ss%2Fword@db1:5433/app',
      { user: 'walden', password: 'p@ss/word', host: 'db1', port: 5433 },
    ],
    ['postgresql://walden@[2001:db8::1]/app', { user: 'walden', host: '2001:db8::1' }],
    ['postgresql://%2Frun%2Fpg/app', { host: '/run/pg' }],
    ['postgresql:///app?host=/run/pg&port=5433', { host: '/run/pg', port: 5433 }],
  ])('reads %s', (uri, expected) => {
    expect(parseConninfo(uri)).toEqual({ database: 'app', ...expected, ...NO_TLS });
  });

  it('asks for TLS as libpq does', () => {
    expect(parseConninfo('host=db1 sslmode=prefer')).toMatchObject(NO_TLS);
    expect(parseConninfo('host=db1 sslmode=require')).toMatchObject({ ssl: { rejectUnauthorized: false } });
    expect(parseConninfo('host=db1 sslmode=verify-full').ssl).toEqual({ rejectUnauthorized: true });
    expect(parseConninfo('postgres://db1?sslmode=verify-ca').ssl).toHaveProperty('checkServerIdentity');
  });

  it('takes times in seconds', () => {
    expect(parseConninfo('host=db1 connect_timeout=3').connectionTimeoutMillis).toBe(3000);
  });

  it.each([
    'host=db1 password=sesame password',
    "host=db1 password='sesame",
    'sesame',
    'host=db1 hots=x password=sesame',
    'host=db1 port=sesame',
    'host=db1 sslmode=sesame',
    'postgres://u:sesame@db1,db2/x',
    'postgres://u:sesame%zz@db1/x',
    'postgres://u:sesame@db1:99999/x',
    'postgres://u:sesame@db1/x?nonsense=1',
    'postgres://u:se@same@db1/x',
    'host=db1 password=sesame sslmode=verify-ca sslrootcert=/nonexistent/root.crt',
  ])('refuses %s and does not repeat the password', (conninfo) => {
    try {
      parseConninfo(conninfo);
    } catch (error) {
      if (!isWaldenError(error, 'CONFIG_INVALID')) throw error;
      expect(`${error.message} ${String(error.cause)}`).not.toContain('sesame');
      return;
    }
    throw new Error('it was taken');
  });
});
