import { describe, expect, it } from 'vitest';
import { isWaldenError } from '../../../src/errors.ts';
import { hostsOf, parseConninfo, parseHostList, parsePrimaryConninfo } from '../../../src/postgres/conninfo.ts';

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

describe('parseHostList', () => {
  const places = (conninfo: string): unknown =>
    parseHostList(conninfo).hosts.map(({ host, port, user }) => [host, port, user]);

  it('reads one host as parseConninfo does', () => {
    const conninfo = 'host=db1 port=5433 user=receiver password=secret';
    expect(parseHostList(conninfo)).toEqual({ hosts: [parseConninfo(conninfo)], target: 'any' });
    expect(places('postgresql://receiver@db1:5433/app')).toEqual([['db1', 5433, 'receiver']]);
  });

  it('reads several, with a port for each or one for all', () => {
    expect(places('host=db1,db2 port=1,2 user=r')).toEqual([
      ['db1', 1, 'r'],
      ['db2', 2, 'r'],
    ]);
    expect(places('host=db1,db2 port=7')).toEqual([
      ['db1', 7, undefined],
      ['db2', 7, undefined],
    ]);
    expect(places('host=db1,db2 hostaddr=192.0.2.1,192.0.2.2')).toEqual([
      ['192.0.2.1', undefined, undefined],
      ['192.0.2.2', undefined, undefined],
    ]);
  });

  it('says which of them will do', () => {
    expect(parseHostList('host=a,b target_session_attrs=read-write').target).toBe('read-write');
    expect(() => parseHostList('host=a,b target_session_attrs=standby')).toThrow('neither any nor read-write');
    expect(() => parseConninfo('host=a target_session_attrs=any')).toThrow('means nothing here');
  });

  it.each(['host=a,b port=1,2,3', 'host=a,b,c port=1,2', 'host=a port=1,2', 'host=a,b hostaddr=192.0.2.1'])(
    'refuses %s',
    (conninfo) => {
      expect(() => parseHostList(conninfo)).toThrow(
        expect.toSatisfy((error: unknown) => isWaldenError(error, 'CONFIG_INVALID')) as Error,
      );
    },
  );
});

describe('hostsOf', () => {
  it('writes a connection string for each host, with and without the secrets', () => {
    const text = String.raw`host=db1,/tmp/a\ b port=1,2 user='o\'neil' password=se\\same target_session_attrs=any gssencmode=disable`;
    expect(hostsOf(text)).toEqual([
      {
        ...{ host: 'db1', port: 1, user: "o'neil" },
        conninfo: String.raw`host=db1 port=1 user='o\'neil' password='se\\same'`,
        shown: String.raw`host=db1 port=1 user='o\'neil'`,
      },
      {
        ...{ host: '/tmp/a b', port: 2, user: "o'neil" },
        conninfo: String.raw`host='/tmp/a b' port=2 user='o\'neil' password='se\\same'`,
        shown: String.raw`host='/tmp/a b' port=2 user='o\'neil'`,
      },
    ]);
    for (const { conninfo, port } of hostsOf(text)) {
      expect(parseConninfo(conninfo)).toMatchObject({ port, user: "o'neil", password: String.raw`se\same` });
    }
  });

  it('takes the secrets out of a URI too, and tells the default port', () => {
    expect(hostsOf('postgres://walden:sesame@db1/postgres?sslpassword=x')).toEqual([
      {
        ...{ host: 'db1', port: 5432, user: 'walden' },
        conninfo: 'user=walden password=sesame host=db1 dbname=postgres',
        shown: 'user=walden host=db1 dbname=postgres',
      },
    ]);
  });
});

describe('parsePrimaryConninfo', () => {
  it('takes what only libpq understands', () => {
    const { hosts } = parsePrimaryConninfo('host=db1 keepalives_idle=30 channel_binding=require', false);
    expect(hosts).toEqual([{ host: 'db1', database: 'postgres', ...NO_TLS }]);
    expect(() => parsePrimaryConninfo('host=db1 nonsense=1', false)).toThrow('nonsense is not known');
  });

  it('takes one line, as a setting of PostgreSQL does', () => {
    expect(() => parsePrimaryConninfo('host=db1\nuser=x', false)).toThrow('more than one line');
  });

  it.each([
    'host=db1 password=sesame',
    "host=db1 sslpassword='sesame'",
    'postgres://walden:sesame@db1',
    'postgres://db1?password=sesame',
  ])('refuses a password where it would be seen: %s', (conninfo) => {
    expect(() => parsePrimaryConninfo(conninfo, false)).toThrow('holds a password');
    expect(() => parsePrimaryConninfo(conninfo, true)).not.toThrow();
  });
});
