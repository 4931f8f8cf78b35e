import { readFileSync } from 'node:fs';
import type { ClientConfig } from 'pg';
import { WaldenError } from '../errors.ts';

/** Keywords of libpq that mean something here; others are refused rather than ignored. */
const KEYWORDS = new Set([
  ...['host', 'hostaddr', 'port', 'user', 'password', 'dbname', 'application_name', 'connect_timeout', 'options'],
  ...['sslmode', 'sslrootcert', 'sslcert', 'sslkey'],
]);

/** A libpq connection string, `key=value …` or a URI, for the package pg. The database is `postgres` unless it says so. */
export function parseConninfo(conninfo: string): ClientConfig {
  if (/^postgres(ql)?:\/\//.test(conninfo)) return { connectionString: conninfo };
  const values = parsePairs(conninfo);
  const host = values.get('hostaddr') ?? values.get('host');
  const port = values.get('port');
  const user = values.get('user');
  const password = values.get('password');
  const options = values.get('options');
  return {
    database: values.get('dbname') ?? 'postgres',
    ...(host === undefined ? {} : { host }),
    ...(port === undefined ? {} : { port: Number(port) }),
    ...(user === undefined ? {} : { user }),
    ...(password === undefined ? {} : { password }),
    ...(options === undefined ? {} : { options }),
    ...tls(values),
  };
}

/** Values may be quoted with `'`; `\` takes the next character as it is (conninfo_parse in fe-connect.c). */
function parsePairs(conninfo: string): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  const pair = /\s*([a-z_]+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s\\]|\\.)*))(?=\s|$)/gy;
  const text = conninfo.trim();
  while (pair.lastIndex < text.length) {
    const match = pair.exec(text);
    // The text is not repeated: it may hold a password.
    if (match === null) throw invalid('it is not a list of key=value');
    const [, key = '', quoted, plain = ''] = match;
    if (!KEYWORDS.has(key)) throw invalid(`the keyword ${key} is not known`);
    values.set(key, (quoted ?? plain).replaceAll(/\\(.)/gs, '$1'));
  }
  return values;
}

function tls(values: ReadonlyMap<string, string>): Pick<ClientConfig, 'ssl'> {
  const mode = values.get('sslmode') ?? 'disable';
  if (['disable', 'allow', 'prefer'].includes(mode)) return {};
  const file = (key: string): string | undefined => {
    const path = values.get(key);
    return path === undefined ? undefined : readFileSync(path, 'utf8');
  };
  const [ca, cert, key] = [file('sslrootcert'), file('sslcert'), file('sslkey')];
  return {
    ssl: {
      // As in libpq: `require` encrypts, only `verify-…` proves who is there.
      rejectUnauthorized: mode !== 'require',
      ...(mode === 'verify-ca' ? { checkServerIdentity: () => undefined } : {}),
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
    },
  };
}

function invalid(fact: string): WaldenError {
  return new WaldenError('CONFIG_INVALID', `unable to understand conninfo: ${fact}`, {
    hint: 'it looks like: host=/var/run/postgresql port=5432 user=postgres',
  });
}
