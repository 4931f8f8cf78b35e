import { isWaldenError, WaldenError, withContext } from '../errors.ts';
import type { Clock } from '../platform/clock.ts';
import { type Session, sqlLiteral } from '../postgres/session.ts';
import type { PlannedSetting } from './plan-settings.ts';
import type { SetupFacts } from './setting-facts.ts';

/** How long a reload may take until every process has seen it. */
const RELOAD_DEADLINE_MS = 15_000;
const POLL_MS = 100;
/** SQLSTATE (errcodes.txt) with which PostgreSQL 17 refuses it where allow_alter_system is off. */
const FEATURE_NOT_SUPPORTED = '0A000';

/** What a role lacks, as the statements that a superuser has to run. Empty: nothing. */
export function missingGrants(facts: SetupFacts, settings: readonly PlannedSetting[]): readonly string[] {
  const changed = settings.filter(({ verdict }) => verdict === 'change').map(({ name }) => name);
  if (changed.length === 0) return [];
  const role = `"${facts.role.replaceAll('"', '""')}"`;
  const names = changed.filter((name) => facts.notAllowed.has(name));
  return [
    ...(names.length === 0 ? [] : [`grant alter system on parameter ${names.join(', ')} to ${role}`]),
    ...(facts.mayReload ? [] : [`grant execute on function pg_reload_conf() to ${role}`]),
  ];
}

/** @throws SERVER_SETTINGS naming the grants */
export function assertMayChange(facts: SetupFacts, settings: readonly PlannedSetting[]): void {
  const grants = missingGrants(facts, settings);
  if (grants.length === 0) return;
  const hint =
    facts.majorVersion < 15
      ? 'before PostgreSQL 15 only a superuser may: let conninfo name one, for this command at least'
      : `let conninfo name a superuser, or run as one: ${grants.join('; ')}`;
  throw new WaldenError('SERVER_SETTINGS', `the role ${facts.role} may not change the settings`, {
    hint,
    details: { grants: facts.majorVersion < 15 ? [] : grants },
  });
}

/**
 * Sets what is to be changed, reloads, and waits until the server says that each value holds, or waits for a restart.
 * Begun again after a failure, it goes on with what is left.
 * @throws SERVER_SETTINGS when a value did not come true; SERVER_QUERY, SERVER_UNREACHABLE
 */
export async function applySettings(
  session: Session,
  settings: readonly PlannedSetting[],
  clock: Clock,
): Promise<void> {
  const changes = settings.filter(({ verdict }) => verdict === 'change');
  if (changes.length === 0) return;
  for (const { name, shall } of changes) await set(session, name, shall);
  await session.query('select pg_catalog.pg_reload_conf()');
  const deadline = clock.now().getTime() + RELOAD_DEADLINE_MS;
  for (;;) {
    const late = await notYet(session, changes);
    const [first] = late;
    if (first === undefined) return;
    if (clock.now().getTime() >= deadline) throw await overruled(session, first);
    await clock.sleep(POLL_MS);
  }
}

async function set(session: Session, name: string, value: string): Promise<void> {
  try {
    await session.query(`alter system set ${name} = ${sqlLiteral(value)}`);
  } catch (error) {
    const failure = withContext(error, `unable to set ${name}`);
    if (!isWaldenError(error, 'SERVER_QUERY') || error.details['sqlstate'] !== FEATURE_NOT_SUPPORTED) throw failure;
    throw new WaldenError('SERVER_SETTINGS', failure.message, {
      hint: 'ALTER SYSTEM is switched off here (allow_alter_system): set what is shown as missing with whatever manages the configuration',
      cause: error,
    });
  }
}

async function notYet(session: Session, changes: readonly PlannedSetting[]): Promise<readonly PlannedSetting[]> {
  const rows = await session.query(
    `select name, pending_restart, case name when 'archive_command' then reset_val else setting end as value
       from pg_catalog.pg_settings where name = any($1)`,
    [changes.map(({ name }) => name)],
  );
  return changes.filter(({ name, shall, takes }) => {
    const row = rows.find((one) => one['name'] === name);
    const waits = takes === 'restart' && row?.['pending_restart'] === true;
    return row?.['value'] !== shall && !waits;
  });
}

/** Something goes before postgresql.auto.conf, or the files have an error, and nothing of them is taken then. */
async function overruled(session: Session, { name, shall }: PlannedSetting): Promise<WaldenError> {
  const [row = {}] = await session.query(
    'select source, sourcefile, sourceline from pg_catalog.pg_settings where name = $1',
    [name],
  );
  const { source, sourcefile: file, sourceline: line } = row;
  const place = typeof file === 'string' ? `${file}:${String(line)}` : String(source);
  const broken = await brokenLine(session);
  return new WaldenError(
    'SERVER_SETTINGS',
    `${name} was set to ${JSON.stringify(shall)}, and the server still has what ${place} says`,
    {
      hint:
        broken === undefined
          ? 'look into the log of PostgreSQL for why the reload did not take it'
          : `the files have an error, so that PostgreSQL takes none of them: ${broken}`,
    },
  );
}

async function brokenLine(session: Session): Promise<string | undefined> {
  try {
    const [row] = await session.query(
      `select f.sourcefile, f.sourceline, f.error from pg_catalog.pg_file_settings f
         left join pg_catalog.pg_settings s on s.name = f.name
        where f.error is not null and not coalesce(s.pending_restart, false) order by f.seqno limit 1`,
    );
    return row && `${String(row['sourcefile'])}:${String(row['sourceline'])}: ${String(row['error'])}`;
  } catch (error) {
    // The role may not see it: then the log says it.
    if (isWaldenError(error, 'SERVER_QUERY')) return undefined;
    throw error;
  }
}
