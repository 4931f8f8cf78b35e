import { readFileSync } from 'node:fs';
import type { ClientConfig } from 'pg';
import { systemErrorCode, WaldenError } from '../errors.ts';
import { passwordFrom, type ServerAndRole, sought } from './passfile.ts';

const TARGET = 'target_session_attrs';

/** Keywords of libpq that mean something here; others are refused rather than ignored. */
const KEYWORDS = new Set([
  ...['host', 'hostaddr', 'port', 'user', 'password', 'dbname', 'application_name', 'connect_timeout', 'options'],
  ...['passfile', 'sslmode', 'sslrootcert', 'sslcert', 'sslkey', TARGET],
]);
/** What else libpq understands: where a text is handed on to PostgreSQL, it may hold these, and they mean nothing here. */
const LIBPQ_ONLY = new Set([
  ...['keepalives', 'keepalives_idle', 'keepalives_interval', 'keepalives_count', 'tcp_user_timeout'],
  ...['channel_binding', 'require_auth', 'requirepeer', 'fallback_application_name', 'client_encoding'],
  ...['gssencmode', 'krbsrvname', 'gsslib', 'gssdelegation', 'load_balance_hosts'],
  ...['sslcrl', 'sslcrldir', 'sslsni', 'sslcompression', 'sslcertmode', 'sslnegotiation'],
  ...['ssl_min_protocol_version', 'ssl_max_protocol_version'],
]);
const SECRETS = ['password', 'sslpassword'];
const FOR_LIBPQ = new Set([...KEYWORDS, ...LIBPQ_ONLY, ...SECRETS]);
const SSL_MODES = new Set(['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full']);

/** user, password, host, port, database, parameters (conninfo_uri_parse_options in fe-connect.c); one host only. */
const URI =
  /^postgres(?:ql)?:\/\/(?:([^:@/?]*)(?::([^@/?]*))?@)?(\[[^\]]*\]|[^:/?,@]*)(?::(\d*))?(?:\/([^?]*))?(?:\?(.*))?$/;

/**
 * A libpq connection string, `key=value …` or a URI, for the package pg. The database is `postgres` unless it says so.
 * Differences to libpq: TLS is used only where sslmode asks for it, a host must be named (or PGHOST), and only one.
 * @throws CONFIG_INVALID, which never repeats the text: it may hold a password
 */
export function parseConninfo(conninfo: string): ClientConfig {
  const values = valuesOf(conninfo);
  if (values.has(TARGET)) throw invalid(`the keyword ${TARGET} is for several hosts, and means nothing here`);
  return clientConfig(values);
}

/** Several hosts of one cluster, in the order in which they are tried. */
export interface HostList {
  readonly hosts: readonly ClientConfig[];
  /** Which of them will do. */
  readonly target: 'any' | 'read-write';
}

/**
 * The same for `host=a,b port=1,2`, as libpq takes it: as many ports as hosts, or one for all; `target_session_attrs` is
 * `any` or `read-write`. @throws CONFIG_INVALID
 */
export function parseHostList(conninfo: string): HostList {
  return hostListOf(valuesOf(conninfo));
}

/**
 * The same for a text that PostgreSQL is given as its `primary_conninfo`: it may hold every keyword of libpq but those with
 * secrets, unless `mayHoldPassword`.
 * @throws CONFIG_INVALID; USAGE for a secret
 */
export function parsePrimaryConninfo(conninfo: string, mayHoldPassword: boolean): HostList {
  if (!mayHoldPassword) assertNoSecret(conninfo);
  // A value of postgresql.auto.conf ends with its line.
  if (/[\n\r\0]/.test(conninfo)) throw invalid('it has more than one line');
  return hostListOf(valuesOf(conninfo, FOR_LIBPQ));
}

/** For a text that others may see: it stands in arguments of a command, and is shown again. @throws USAGE, CONFIG_INVALID */
export function assertNoSecret(conninfo: string, whose = 'the primary'): void {
  const values = valuesOf(conninfo, FOR_LIBPQ);
  if (!SECRETS.some((key) => values.has(key))) return;
  throw new WaldenError('USAGE', `the connection string of ${whose} holds a password`, {
    hint: 'leave it out, and put it into a passfile (~/.pgpass of whoever connects, or passfile=FILE)',
  });
}

/** One host of a connection string. */
export interface ConninfoHost {
  /** A name, an address or the directory of a socket; undefined: where libpq looks by itself. */
  readonly host: string | undefined;
  readonly port: number;
  readonly user: string | undefined;
  readonly applicationName: string | undefined;
  /** For this host alone, as `parseConninfo` takes it. May hold a password. */
  readonly conninfo: string;
  /** The same without secrets. */
  readonly shown: string;
}

/** The hosts of a text that may hold every keyword of libpq, apart. @throws CONFIG_INVALID */
export function hostsOf(conninfo: string): readonly ConninfoHost[] {
  return perHost(valuesOf(conninfo, FOR_LIBPQ)).map((values) => {
    const known = [...values].filter(([key]) => KEYWORDS.has(key) && key !== TARGET);
    return {
      host: values.get('host') ?? values.get('hostaddr'),
      user: values.get('user'),
      applicationName: values.get('application_name'),
      port: numberOf(values, 'port', 65535) ?? Number(process.env['PGPORT'] ?? 5432),
      conninfo: textOf(known),
      shown: textOf(known.filter(([key]) => !SECRETS.includes(key))),
    };
  });
}

function textOf(values: readonly (readonly [string, string])[]): string {
  return values
    .map(
      ([key, value]) =>
        `${key}=${/^[^\s'\\]+$/.test(value) ? value : `'${value.replaceAll(/['\\]/g, String.raw`\$&`)}'`}`,
    )
    .join(' ');
}

function hostListOf(values: ReadonlyMap<string, string>): HostList {
  const target = values.get(TARGET) ?? 'any';
  if (target !== 'any' && target !== 'read-write') throw invalid(`${TARGET} is neither any nor read-write`);
  return { hosts: perHost(values).map(clientConfig), target };
}

/** The same values once for each host. @throws CONFIG_INVALID */
function perHost(values: ReadonlyMap<string, string>): readonly ReadonlyMap<string, string>[] {
  const [names, addresses, ports] = ['host', 'hostaddr', 'port'].map((key) => values.get(key)?.split(','));
  const count = Math.max(names?.length ?? 1, addresses?.length ?? 1);
  const hosts = Array.from({ length: count }, (_, index) => {
    const one = new Map(values);
    for (const [key, list] of Object.entries({ host: names, hostaddr: addresses, port: ports })) {
      if (list === undefined) continue;
      const value = list.length === 1 && key === 'port' ? list[0] : list[index];
      if (value === undefined || (key !== 'port' && list.length !== count))
        throw invalid(`it has not as many of ${key}`);
      if (value === '') one.delete(key);
      else one.set(key, value);
    }
    return one;
  });
  if ((ports?.length ?? 1) > count) throw invalid('it has more ports than hosts');
  return hosts;
}

function valuesOf(conninfo: string, known: ReadonlySet<string> = KEYWORDS): ReadonlyMap<string, string> {
  const values = /^postgres(ql)?:\/\//.test(conninfo) ? parseUri(conninfo) : parsePairs(conninfo);
  for (const key of values.keys()) if (!known.has(key)) throw invalid(`the keyword ${key} is not known`);
  // An empty value is as good as none, as in libpq.
  return new Map([...values].filter(([, value]) => value !== ''));
}

function clientConfig(values: ReadonlyMap<string, string>): ClientConfig {
  const host = values.get('hostaddr') ?? values.get('host');
  const port = numberOf(values, 'port', 65535);
  const timeout = numberOf(values, 'connect_timeout', 86400);
  const user = values.get('user');
  const options = values.get('options');
  const applicationName = values.get('application_name');
  return {
    database: values.get('dbname') ?? 'postgres',
    ...(host === undefined ? {} : { host }),
    ...(port === undefined ? {} : { port }),
    ...(user === undefined ? {} : { user }),
    ...password(values, { host: values.get('host') ?? host, port, user }),
    ...(options === undefined ? {} : { options }),
    ...(applicationName === undefined ? {} : { application_name: applicationName }),
    ...(timeout === undefined ? {} : { connectionTimeoutMillis: timeout * 1000 }),
    ...tls(values),
  };
}

/** A password that is named, else one of the file that is named: read when it is needed, so that a new one is found. */
function password(
  values: ReadonlyMap<string, string>,
  { host, port, user }: ServerAndRole,
): Pick<ClientConfig, 'password'> {
  const given = values.get('password');
  if (given !== undefined) return { password: given };
  const passfile = values.get('passfile');
  if (passfile === undefined) return {};
  const databases = ['replication', values.get('dbname') ?? 'postgres'];
  const wanted = sought({ host, port, user }, databases);
  return { password: async () => await passwordFrom(passfile, wanted) };
}

/** Values may be quoted with `'`; `\` takes the next character as it is (conninfo_parse in fe-connect.c). */
function parsePairs(conninfo: string): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  const pair = /\s*([A-Za-z_]+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s\\']|\\.)(?:[^\s\\]|\\.)*|))(?=\s|$)/gsy;
  const text = conninfo.trim();
  while (pair.lastIndex < text.length) {
    const match = pair.exec(text);
    if (match === null) throw invalid('it is not a list of key=value');
    const [, key = '', quoted, plain = ''] = match;
    values.set(key, (quoted ?? plain).replaceAll(/\\(.)/gs, '$1'));
  }
  return values;
}

function parseUri(conninfo: string): ReadonlyMap<string, string> {
  const match = URI.exec(conninfo);
  if (match === null) throw invalid('it is not a URI with one host');
  const values = new Map<string, string>();
  const [, user, password, host, port, dbname, parameters = ''] = match;
  for (const [key, value] of Object.entries({
    user,
    password,
    host: host?.replace(/^\[(.*)\]$/, '$1'),
    port,
    dbname,
  })) {
    if (value !== undefined && value !== '') values.set(key, decoded(value));
  }
  for (const parameter of parameters.split('&')) {
    if (parameter === '') continue;
    const [key = '', value, ...more] = parameter.split('=');
    if (value === undefined || more.length > 0) throw invalid('its parameters are not a list of key=value');
    values.set(decoded(key), decoded(value));
  }
  return values;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // The cause would repeat the text.
    throw invalid('a % in it is not followed by two hex digits');
  }
}

function numberOf(values: ReadonlyMap<string, string>, key: string, max: number): number | undefined {
  const text = values.get(key);
  if (text === undefined) return undefined;
  if (!/^\d{1,6}$/.test(text) || Number(text) > max) throw invalid(`${key} is not a number up to ${max}`);
  return Number(text);
}

function tls(values: ReadonlyMap<string, string>): Pick<ClientConfig, 'ssl'> {
  const mode = values.get('sslmode') ?? 'disable';
  if (!SSL_MODES.has(mode)) throw invalid(`sslmode is none of ${[...SSL_MODES].join(', ')}`);
  if (['disable', 'allow', 'prefer'].includes(mode)) return { ssl: false };
  const [ca, cert, key] = ['sslrootcert', 'sslcert', 'sslkey'].map((keyword) => contents(values.get(keyword)));
  return {
    ssl: {
      // As in libpq: `require` encrypts and proves nothing, but for a certificate's signer where one is named.
      rejectUnauthorized: mode !== 'require' || ca !== undefined,
      ...(mode === 'verify-full' ? {} : { checkServerIdentity: () => undefined }),
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
    },
  };
}

function contents(path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw invalid(`unable to read ${path} (${systemErrorCode(cause) ?? 'unknown'})`);
  }
}

function invalid(fact: string): WaldenError {
  return new WaldenError('CONFIG_INVALID', `unable to understand conninfo: ${fact}`, {
    hint: 'it looks like: host=/var/run/postgresql port=5432 user=postgres',
  });
}
