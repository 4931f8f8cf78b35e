import pg from 'pg';
import { WaldenError } from '../errors.ts';
import { parseConninfo } from './conninfo.ts';
import { withPassfile } from './passfile.ts';

/** One connection to PostgreSQL, for what must happen in one session. */
export interface Session {
  /** 64-bit integers come as text. @throws SERVER_QUERY, SERVER_UNREACHABLE when the connection is lost */
  query(text: string, values?: readonly unknown[]): Promise<readonly Record<string, unknown>[]>;
  /**
   * Several statements at once, in one transaction unless they say otherwise. @returns of each its rows, with their columns in
   * order @throws as query
   */
  script(text: string): Promise<readonly (readonly (readonly unknown[])[])[]>;
  /** May be called again. */
  close(): Promise<void>;
}

const CONNECT_TIMEOUT_MS = 10_000;
const CLOSE_TIMEOUT_MS = 5_000;
/** pg_backup_start waits for a checkpoint, which may take long on a busy server. */
const QUERY_TIMEOUT_MS = 3_600_000;

export interface SessionOptions {
  /** For each query; an hour by default. */
  readonly timeoutMs?: number | undefined;
  /** What pg_stat_activity shows, unless conninfo says something else. */
  readonly applicationName?: string | undefined;
}

/**
 * @throws CONFIG_INVALID, SERVER_UNREACHABLE; the connection string, which may hold a password, never stands in an error.
 */
export async function openSession(conninfo: string, options: SessionOptions = {}): Promise<Session> {
  const timeoutMs = options.timeoutMs ?? QUERY_TIMEOUT_MS;
  const client = new pg.Client({
    application_name: options.applicationName ?? 'walden',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    ...withPassfile(parseConninfo(conninfo)),
    query_timeout: timeoutMs,
    keepAlive: true,
  });
  let lost: Error | undefined;
  // Without a listener a lost connection would end the process; the next query tells it.
  client.on('error', (error) => (lost = error));
  try {
    await client.connect();
  } catch (cause) {
    const sqlstate = cause instanceof pg.DatabaseError ? cause.code : undefined;
    const fact = `unable to connect to PostgreSQL: ${messageOf(cause)}`;
    throw new WaldenError('SERVER_UNREACHABLE', fact, { details: sqlstate === undefined ? {} : { sqlstate }, cause });
  }
  let closed: Promise<void> | undefined;
  const asked = async <Result>(text: string, ask: () => Promise<Result>): Promise<Result> => {
    try {
      return await ask();
    } catch (cause) {
      if (lost !== undefined || !(cause instanceof pg.DatabaseError) || endsSession(cause.code)) {
        // Also after the deadline: an answer that comes later would be taken for that of the next query.
        client.connection.stream.destroy();
        const fact = messageOf(lost ?? cause);
        throw new WaldenError('SERVER_UNREACHABLE', `the connection to PostgreSQL was lost: ${fact}`, { cause });
      }
      throw new WaldenError('SERVER_QUERY', `PostgreSQL refused a query: ${cause.message}`, {
        details: { sqlstate: cause.code, query: text },
        cause,
      });
    }
  };
  return {
    query: (text, values = []) =>
      asked(text, async () => (await client.query<Record<string, unknown>>(text, [...values])).rows),
    script: (text) =>
      asked(text, async () => {
        // Without values it is one message of the simple protocol, which is answered with a result for each statement.
        const answer: unknown = await client.query({ text, rowMode: 'array' });
        const results = (Array.isArray(answer) ? answer : [answer]) as readonly { readonly rows: unknown[][] }[];
        return results.map(({ rows }) => rows);
      }),
    close() {
      closed ??= endWithin(client);
      return closed;
    },
  };
}

/** Any text as a string constant, for statements that take no parameters, whatever standard_conforming_strings says. */
export function sqlLiteral(text: string): string {
  return pg.escapeLiteral(text);
}

/**
 * The server's last words also come as the answer to a query: shutdown, crash, database dropped, too long idle, connection
 * failure (errcodes.txt). The severity would say it too, but in the server's language.
 */
function endsSession(sqlstate: string | undefined): boolean {
  return sqlstate !== undefined && /^(57P0[1-5]|25P0[34]|08...)$/.test(sqlstate);
}

async function endWithin(client: pg.Client): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(() => {
      // The server does not answer: leaving is all that is left.
      client.connection.stream.destroy();
      resolve();
    }, CLOSE_TIMEOUT_MS);
  });
  await Promise.race([client.end().catch(() => undefined), late]);
  clearTimeout(timer);
}

function messageOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(messageOf).join('; ');
  return error instanceof Error ? error.message : String(error);
}
