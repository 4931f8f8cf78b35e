import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import type { TestServer } from './postgres-server.ts';
import { until } from './until.ts';

const ACCOUNTS = 2000;
const BALANCE = 1000;
const STOP_DEADLINE_MS = 180_000;
const RECONNECT_DEADLINE_MS = 120_000;
/**
 * A client thinks between its transfers: one that does not takes the processors from what is tested, and every copy has to
 * replay the WAL that it made meanwhile.
 */
const THINKING_MS = 5;

export interface LoadOptions {
  /** Connections that write at the same time; 3 by default. */
  readonly clients?: number;
  /** A client whose connection is lost goes on with another, for as long as the server may need to come back. */
  readonly reconnect?: boolean;
}

/** What one transfer leaves behind: a row in `transfers`. */
export interface Transfer {
  readonly transfer: string;
  /** The 64-bit transaction id, as text. */
  readonly xid: string;
}

export interface Load {
  /** The transfers whose COMMIT was answered, in the order of the answers; grows while the load runs. */
  readonly acknowledged: readonly Transfer[];
  /** Names, by {@link nameOf}, of those whose COMMIT was sent: nothing else can be in a copy. */
  readonly attempted: ReadonlySet<string>;
  /** Waits until `count` more transfers are acknowledged. */
  advance(count: number): Promise<void>;
  /** Ends after the transfers under way. @throws what ended a client, unless `tolerant` (the server was killed) */
  stop(options?: { readonly tolerant?: boolean }): Promise<readonly Transfer[]>;
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

/**
 * Both numbers, since a server that crashed gives those that it had not written down again: to a transfer that was never
 * acknowledged, and to one that may be.
 */
export function nameOf({ transfer, xid }: Transfer): string {
  return `${transfer}/${xid}`;
}

/** Names, by {@link nameOf}, of the transfers that a server holds. */
export async function transfersIn(server: TestServer): Promise<ReadonlySet<string>> {
  const rows = await server.query('select id::text as transfer, xid::text from transfers');
  return new Set(rows.map((row) => nameOf({ transfer: String(row['transfer']), xid: String(row['xid']) })));
}

/** Starts to move money between accounts. {@link prepareLoad} comes first. */
export async function startLoad(server: TestServer, options: LoadOptions = {}): Promise<Load> {
  const clients = await Promise.all(Array.from({ length: options.clients ?? 3 }, () => server.client()));
  return new RunningLoad(clients, options.reconnect === true ? server : undefined);
}

class RunningLoad implements Load {
  readonly acknowledged: Transfer[] = [];
  readonly attempted = new Set<string>();
  /** Where a client goes on when its connection is lost. */
  readonly #server: TestServer | undefined;
  readonly #clients: readonly Promise<void>[];
  readonly #failures: unknown[] = [];
  #stopping = false;

  constructor(clients: readonly pg.Client[], server: TestServer | undefined) {
    this.#server = server;
    this.#clients = clients.map((client) => this.#run(client));
  }

  async #run(client: pg.Client): Promise<void> {
    try {
      while (!this.#stopping) {
        this.acknowledged.push(await this.#transfer(client));
        await delay(THINKING_MS);
      }
      await client.end();
    } catch (error) {
      // The connection is lost or in an unknown state; a failure to close it says nothing more.
      await client.end().catch(() => undefined);
      await this.#goOn(error);
    }
  }

  async #goOn(error: unknown): Promise<void> {
    if (this.#server === undefined || !isLostConnection(error)) {
      this.#failures.push(error);
      return;
    }
    try {
      const next = await this.#reconnect(this.#server);
      if (next !== undefined) await this.#run(next);
    } catch (late) {
      this.#failures.push(late);
    }
  }

  /** Undefined once the load is to end. */
  async #reconnect(server: TestServer): Promise<pg.Client | undefined> {
    const found = await until(
      async () => (this.#stopping ? 'stopping' : await server.client().catch(() => undefined)),
      { what: 'a client of the load to connect again', deadlineMs: RECONNECT_DEADLINE_MS },
    );
    return found === 'stopping' ? undefined : found;
  }

  async advance(count: number): Promise<void> {
    const goal = this.acknowledged.length + count;
    await until(
      () => {
        if (this.#failures.length > 0) throw this.#error();
        return this.acknowledged.length >= goal;
      },
      { what: `${count} more acknowledged transfers`, everyMs: 20 },
    );
  }

  async stop(options: { readonly tolerant?: boolean } = {}): Promise<readonly Transfer[]> {
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

  async #transfer(client: pg.Client): Promise<Transfer> {
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
    const [row] = inserted.rows;
    if (row === undefined) throw new Error('an insert returned no row');
    const transfer: Transfer = { transfer: row.id, xid: row.xid };
    this.attempted.add(nameOf(transfer));
    await client.query('commit');
    return transfer;
  }
}

/** Class 57 is what a server says that ends or starts; what is no answer of the server at all came from the connection. */
function isLostConnection(error: unknown): boolean {
  return error instanceof pg.DatabaseError ? error.code?.startsWith('57P') === true : true;
}
