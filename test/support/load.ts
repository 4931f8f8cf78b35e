import type pg from 'pg';
import type { TestServer } from './postgres-server.ts';
import { until } from './until.ts';

const ACCOUNTS = 2000;
const BALANCE = 1000;
const STOP_DEADLINE_MS = 30_000;

export interface LoadOptions {
  /** Connections that write at the same time; 3 by default. */
  readonly clients?: number;
}

/** What one acknowledged transfer left behind: a row in `transfers`. */
export interface Acknowledged {
  readonly transfer: string;
  /** The 64-bit transaction id, as text. */
  readonly xid: string;
}

export interface Load {
  /** The transfers whose COMMIT was answered, in the order of the answers; grows while the load runs. */
  readonly acknowledged: readonly Acknowledged[];
  /** Waits until `count` more transfers are acknowledged. */
  advance(count: number): Promise<void>;
  /** Ends after the transfers under way. @throws what ended a client, unless `tolerant` (the server was killed) */
  stop(options?: { readonly tolerant?: boolean }): Promise<readonly Acknowledged[]>;
}

/**
 * Makes the tables of the load: accounts whose balances always add up to {@link totalBalance}, and transfers, one row per
 * transaction. Also installs amcheck, which a read-only server could not do later.
 */
export async function prepareLoad(server: TestServer): Promise<void> {
  await server.query('create extension if not exists amcheck');
  await server.query(
    `create table accounts (id int primary key, owner text not null, balance bigint not null);
     create index accounts_by_owner on accounts (owner);
     create table transfers (id bigserial primary key, source int, target int, amount int, xid xid8,
       at timestamptz not null default clock_timestamp(), note text);
     insert into accounts select i, 'owner ' || md5(i::text), ${BALANCE} from generate_series(1, ${ACCOUNTS}) i;`,
  );
}

/** The sum of all balances at every moment that a transaction can see. */
export function totalBalance(): string {
  return String(ACCOUNTS * BALANCE);
}

/** Starts to move money between accounts. {@link prepareLoad} comes first. */
export async function startLoad(server: TestServer, options: LoadOptions = {}): Promise<Load> {
  const clients = await Promise.all(Array.from({ length: options.clients ?? 3 }, () => server.client()));
  return new RunningLoad(clients);
}

class RunningLoad implements Load {
  readonly acknowledged: Acknowledged[] = [];
  readonly #clients: readonly Promise<void>[];
  readonly #failures: unknown[] = [];
  #stopping = false;

  constructor(clients: readonly pg.Client[]) {
    this.#clients = clients.map((client) => this.#run(client));
  }

  async #run(client: pg.Client): Promise<void> {
    try {
      while (!this.#stopping) this.acknowledged.push(await transfer(client));
      await client.end();
    } catch (error) {
      this.#failures.push(error);
      // The connection is lost or in an unknown state; a failure to close it says nothing more.
      await client.end().catch(() => undefined);
    }
  }

  async advance(count: number): Promise<void> {
    const goal = this.acknowledged.length + count;
    await until(
      () => {
        if (this.#failures.length > 0) throw this.#error();
        return this.acknowledged.length >= goal;
      },
      { what: `${count} more acknowledged transfers`, deadlineMs: 60_000, everyMs: 20 },
    );
  }

  async stop(options: { readonly tolerant?: boolean } = {}): Promise<readonly Acknowledged[]> {
    this.#stopping = true;
    let ended = false;
    const all = Promise.all(this.#clients).then(() => {
      ended = true;
    });
    await until(() => ended, { what: 'the clients of the load to end', deadlineMs: STOP_DEADLINE_MS });
    await all;
    if (this.#failures.length > 0 && options.tolerant !== true) throw this.#error();
    return this.acknowledged;
  }

  #error(): Error {
    return new AggregateError(this.#failures, `the load failed: ${String(this.#failures[0])}`);
  }
}

async function transfer(client: pg.Client): Promise<Acknowledged> {
  const pick = (): number => 1 + Math.floor(Math.random() * ACCOUNTS);
  const [source, target, amount] = [pick(), pick(), Math.floor(Math.random() * 10)];
  const low = Math.min(source, target);
  const sign = source === low ? -amount : amount;
  const high = Math.max(source, target);
  await client.query('begin');
  // In the order of the ids, so that two transfers cannot lock each other out.
  await client.query('update accounts set balance = balance + $1 where id = $2', [sign, low]);
  await client.query('update accounts set balance = balance + $1 where id = $2', [-sign, high]);
  const inserted = await client.query<{ id: string; xid: string }>(
    `insert into transfers (source, target, amount, xid, note)
     values ($1, $2, $3, pg_current_xact_id(), repeat(md5(random()::text), 8)) returning id, xid::text`,
    [source, target, amount],
  );
  await client.query('commit');
  const [row] = inserted.rows;
  if (row === undefined) throw new Error('an insert returned no row');
  return { transfer: row.id, xid: row.xid };
}
