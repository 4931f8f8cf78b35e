import { execFile } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { DrillCheck } from '../../../catalog/proof.ts';
import { isWaldenError, toWaldenError } from '../../errors.ts';
import type { Session } from '../../postgres/session.ts';
import type { DrillServer } from './drill-server.ts';

/** Checks that every index of each database is sound: as long as pg_amcheck runs. */
const AMCHECK_DEADLINE_MS = 24 * 3_600_000;
const SHOWN_CHARACTERS = 500;

/** What the user wants to be true of a restored cluster. */
export interface SqlCheck {
  readonly name: string;
  readonly database: string;
  readonly sql: string;
}

export interface CheckPlace {
  readonly server: DrillServer;
  /** conninfo of a superuser, without a database. */
  readonly superuser: string;
  readonly pgCtl: string;
  readonly socketDirectory: string;
  readonly signal: AbortSignal;
}

const BTREES = `select bt_index_check(c.oid) from pg_index i join pg_class c on c.oid = i.indexrelid
  join pg_am a on a.oid = c.relam and a.amname = 'btree'
  where c.relkind = 'i' and c.relpersistence = 'p' and i.indisready and i.indisvalid`;

/** pg_amcheck over all databases where it is installed, else amcheck's bt_index_check over each index. */
export async function checkStructure(place: CheckPlace): Promise<DrillCheck> {
  const { server, superuser, pgCtl } = place;
  const session = await server.session(superuser, 'template1');
  let databases: readonly string[];
  try {
    const available = await session.query("select 1 from pg_available_extensions where name = 'amcheck'");
    if (available.length === 0) {
      const detail = 'amcheck is not installed with these programs of PostgreSQL: install its contrib package';
      return { name: 'amcheck', outcome: 'skipped', detail };
    }
    const rows = await session.query('select datname::text as name from pg_database where datallowconn order by 1');
    databases = rows.map(({ name }) => String(name));
  } finally {
    await session.close();
  }
  const program = join(dirname(pgCtl), 'pg_amcheck');
  return (await isProgram(program)) ? await runAmcheck(place, program) : await checkIndexes(place, databases);
}

async function isProgram(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return true;
  } catch {
    // Not there, or not for this user: then there is the other way.
    return false;
  }
}

async function runAmcheck({ superuser, socketDirectory, signal }: CheckPlace, program: string): Promise<DrillCheck> {
  const name = 'pg_amcheck';
  const user = /user='((?:[^'\\]|\\.)*)'/.exec(superuser)?.[1]?.replaceAll(/\\(.)/g, '$1') ?? 'postgres';
  const words = ['--all', '--install-missing', '--no-password', '-h', socketDirectory, '-p', '5432', '-U', user];
  return await new Promise((resolve, reject) => {
    execFile(
      program,
      words,
      { timeout: AMCHECK_DEADLINE_MS, signal, maxBuffer: 1024 ** 3 },
      (error, stdout, stderr) => {
        if (signal.aborted) reject(toWaldenError(signal.reason));
        else if (error === null) resolve({ name, outcome: 'passed', detail: 'tables and indexes of all databases' });
        else resolve({ name, outcome: 'failed', detail: shortened(`${stdout}${stderr}`.trim() || error.message) });
      },
    );
  });
}

async function checkIndexes(place: CheckPlace, databases: readonly string[]): Promise<DrillCheck> {
  const name = 'bt_index_check';
  let indexes = 0;
  for (const database of databases) {
    const failure = await asked(place, database, async (session) => {
      await session.query('create extension if not exists amcheck');
      indexes += (await session.query(BTREES)).length;
      return undefined;
    });
    if (failure !== undefined) return { name, outcome: 'failed', detail: `database ${database}: ${failure}` };
  }
  return { name, outcome: 'passed', detail: `${indexes} indexes of ${databases.length} databases` };
}

/** Passed when each row that the statements return begins with true; no rows are as good. */
export async function checkSql(place: CheckPlace, { name, database, sql }: SqlCheck): Promise<DrillCheck> {
  let rows = 0;
  const failure = await asked(place, database, async (session) => {
    for (const [index, result] of (await session.script(sql)).entries()) {
      rows += result.length;
      const wrong = result.find(([first]) => first !== true);
      if (wrong !== undefined) return `statement ${index + 1} returned ${JSON.stringify(wrong)}`;
    }
    return undefined;
  });
  if (failure !== undefined) return { name, outcome: 'failed', detail: shortened(`database ${database}: ${failure}`) };
  return { name, outcome: 'passed', detail: `${rows === 1 ? '1 row' : `${rows} rows`}, in database ${database}` };
}

/** What is wrong, also where the question itself could not be asked. Interrupting it ends the session. */
async function asked(
  { server, superuser, signal }: CheckPlace,
  database: string,
  work: (session: Session) => Promise<string | undefined>,
): Promise<string | undefined> {
  try {
    const session = await server.session(superuser, database);
    const leave = (): void => void session.close();
    signal.addEventListener('abort', leave);
    try {
      return await work(session);
    } finally {
      signal.removeEventListener('abort', leave);
      await session.close();
    }
  } catch (error) {
    signal.throwIfAborted();
    if (!isWaldenError(error, 'SERVER_QUERY', 'SERVER_UNREACHABLE')) throw error;
    return error.message;
  }
}

function shortened(text: string): string {
  return text.length <= SHOWN_CHARACTERS ? text : `${text.slice(0, SHOWN_CHARACTERS)} …`;
}
