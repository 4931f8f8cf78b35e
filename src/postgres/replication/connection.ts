import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import pg, { type ClientConfig } from 'pg';
import { WaldenError } from '../../errors.ts';
import { type Lsn, parseLsn, type SystemIdentifier, systemIdentifier, type TimelineId, timelineId } from '../lsn.ts';
import { withPassfile } from '../passfile.ts';
import { type Micros, micros } from '../timestamp.ts';
import { BaseBackup, type BaseBackupOptions } from './base-backup.ts';
import { readColumns, readValues, simpleQuery } from './messages.ts';
import { uploadManifest } from './upload-manifest.ts';
import { ReadMemory, socketReadingInto } from './read-memory.ts';
import { quotedSlot, WalStream } from './wal-stream.ts';
import { serverError, Wire } from './wire.ts';

const CONNECT_TIMEOUT_MS = 10_000;
const COMMAND_TIMEOUT_MS = 30_000;

/** SQLSTATEs (errcodes.txt). */
const DUPLICATE_OBJECT = '42710';
const UNDEFINED_OBJECT = '42704';

export interface IdentifiedSystem {
  readonly systemIdentifier: SystemIdentifier;
  readonly timeline: TimelineId;
  /** Up to where its WAL is durable on the server. */
  readonly flushed: Lsn;
}

/** Where WAL is streamed from, and the slot that keeps it on the server until it is acknowledged. */
export interface StreamStart {
  /** Undefined: the server keeps its WAL for others only. */
  readonly slot: string | undefined;
  readonly timeline: TimelineId;
  readonly start: Lsn;
}

export interface PhysicalSlot {
  /** Where the WAL begins that it keeps; undefined when it keeps none: it was made so, or the server gave it up. */
  readonly restart: Lsn | undefined;
}

type Row = ReadonlyMap<string, Buffer | undefined>;

/**
 * One physical replication connection. The package pg connects (TLS and authentication are its business); then its parser,
 * which writes over what it has handed out, is taken off the socket, and messages are read here.
 */
export class ReplicationConnection {
  readonly #wire: Wire;
  readonly #config: ClientConfig;
  /** By TLS: then memory is made for each read, in spite of ReadMemory. */
  readonly isEncrypted: boolean;

  private constructor(wire: Wire, config: ClientConfig, isEncrypted: boolean) {
    this.#wire = wire;
    this.#config = config;
    this.isEncrypted = isEncrypted;
  }

  /** @throws SERVER_UNREACHABLE, which never repeats a password */
  static async open(config: ClientConfig): Promise<ReplicationConnection> {
    // The server takes no notice of the database; passwords are looked for under this name, as libpq does.
    const memory = new ReadMemory();
    const stream = (): Socket => socketReadingInto(memory);
    const client = await connect({ ...config, stream, replication: 'true', database: 'replication' } as ClientConfig);
    const socket = client.connection.stream;
    for (const listener of socket.listeners('data')) socket.removeListener('data', listener as () => void);
    return new ReplicationConnection(new Wire(socket, memory), config, socket instanceof TLSSocket);
  }

  /** @throws SERVER_UNREACHABLE, SERVER_QUERY, as every command here */
  async identifySystem(): Promise<IdentifiedSystem> {
    const [row] = await this.#command('IDENTIFY_SYSTEM');
    return {
      systemIdentifier: systemIdentifier(text(row, 'systemid')),
      timeline: timelineId(Number(text(row, 'timeline'))),
      flushed: parseLsn(text(row, 'xlogpos')),
    };
  }

  /** A setting, as SHOW tells it. `name` is written into the command as it is. */
  async show(name: string): Promise<string> {
    const [row] = await this.#command(`SHOW ${name}`);
    return text(row, name);
  }

  /** A physical slot that keeps WAL from now on. */
  async createSlot(slot: string): Promise<'created' | 'exists'> {
    try {
      await this.#command(`CREATE_REPLICATION_SLOT ${quotedSlot(slot)} PHYSICAL RESERVE_WAL`);
      return 'created';
    } catch (error) {
      if (sqlstateOf(error) === DUPLICATE_OBJECT) return 'exists';
      throw error;
    }
  }

  /** Undefined when there is no such slot. @throws SERVER_QUERY when it is a logical one, as PostgreSQL 15 and newer */
  async readSlot(slot: string): Promise<PhysicalSlot | undefined> {
    const version = Number(await this.show('server_version_num'));
    if (version < 150_000) return await this.#readSlotBySql(slot);
    const [row] = await this.#command(`READ_REPLICATION_SLOT ${quotedSlot(slot)}`);
    return slotOf(slot, optionalText(row, 'slot_type'), optionalText(row, 'restart_lsn'));
  }

  /** A slot that is not there is success. */
  async dropSlot(slot: string): Promise<void> {
    try {
      await this.#command(`DROP_REPLICATION_SLOT ${quotedSlot(slot)}`);
    } catch (error) {
      if (sqlstateOf(error) !== UNDEFINED_OBJECT) throw error;
    }
  }

  /** The history file of a timeline, byte for byte. Timeline 1 has none. */
  async timelineHistory(timeline: TimelineId): Promise<Buffer> {
    const [row] = await this.#command(`TIMELINE_HISTORY ${timeline}`);
    const content = row?.get('content');
    if (content !== undefined) return content;
    throw new WaldenError('SERVER_QUERY', `PostgreSQL gave no history of timeline ${timeline}`);
  }

  /** Begins to stream; the connection is the stream's from then on. Errors of the server come from the stream. */
  startStreaming(start: StreamStart): WalStream {
    return new WalStream(this.#wire, start);
  }

  /** What an incremental base backup, begun next on this connection, builds on. @throws as uploadManifest */
  async uploadManifest(pieces: AsyncIterable<Buffer>): Promise<void> {
    await uploadManifest(this.#wire, pieces);
  }

  /** Begins a base backup; the connection is its own from then on. Errors of the server come from it. */
  startBaseBackup(serverVersion: number, options: BaseBackupOptions): BaseBackup {
    return new BaseBackup(this.#wire, serverVersion, options);
  }

  /**
   * The server's clock, which no command tells, but what it sends with its WAL: from any position that it still has. Nothing
   * but `close` can follow. @throws SERVER_QUERY, SERVER_UNREACHABLE
   */
  async serverTime(at: Omit<StreamStart, 'slot'>): Promise<Micros> {
    const stream = this.startStreaming({ slot: undefined, ...at });
    for (let event = await stream.next(COMMAND_TIMEOUT_MS); ; event = await stream.next(COMMAND_TIMEOUT_MS)) {
      if ('sentAt' in event) return event.sentAt;
      if (event.kind !== 'begun') {
        throw new WaldenError('SERVER_QUERY', 'PostgreSQL sent nothing that says what time it is there');
      }
      // Where there is no WAL to send, it answers this.
      stream.sendStatus({ written: at.start, flushed: undefined }, micros(0), true);
    }
  }

  /** Ends whatever runs: who waits for the server is told this. */
  fail(error: WaldenError): void {
    this.#wire.fail(error);
  }

  /** May be called again. */
  async close(): Promise<void> {
    await this.#wire.close();
  }

  async #command(command: string): Promise<readonly Row[]> {
    const timer = setTimeout(() => {
      const fact = `PostgreSQL did not answer ${command} within ${COMMAND_TIMEOUT_MS / 1000} s`;
      // An answer that comes later would be taken for that of the next command.
      this.#wire.fail(new WaldenError('SERVER_UNREACHABLE', fact));
    }, COMMAND_TIMEOUT_MS);
    try {
      return await this.#rows(command);
    } finally {
      clearTimeout(timer);
    }
  }

  async #rows(command: string): Promise<readonly Row[]> {
    this.#wire.send(simpleQuery(command));
    const rows: Row[] = [];
    let columns: readonly string[] = [];
    let failure: WaldenError | undefined;
    for (;;) {
      const message = await this.#wire.receive(COMMAND_TIMEOUT_MS);
      switch (message?.type) {
        case 'T':
          columns = readColumns(message.body);
          break;
        case 'D': {
          const values = readValues(message.body);
          rows.push(new Map(columns.map((name, index) => [name, values[index]])));
          break;
        }
        case 'E':
          failure = serverError(`unable to run ${command}`, message.body);
          if (failure.code === 'SERVER_UNREACHABLE') throw failure;
          break;
        case 'Z':
          if (failure !== undefined) throw failure;
          return rows;
        case undefined:
          // The deadline of the command ends this.
          break;
        default:
        // CommandComplete, notices and changes of settings.
      }
    }
  }

  /** Before PostgreSQL 15 only SQL tells it, which needs an ordinary connection. */
  async #readSlotBySql(slot: string): Promise<PhysicalSlot | undefined> {
    const client = await connect(this.#config);
    try {
      const { rows } = await client.query<{ type: string; restart: string | null }>({
        text: 'select slot_type as type, restart_lsn::text as restart from pg_replication_slots where slot_name = $1',
        values: [slot],
      });
      return slotOf(slot, rows[0]?.type, rows[0]?.restart ?? undefined);
    } catch (cause) {
      if (cause instanceof WaldenError) throw cause;
      throw new WaldenError('SERVER_UNREACHABLE', `unable to read the slot ${slot}: ${messageOf(cause)}`, { cause });
    } finally {
      client.connection.stream.destroy();
    }
  }
}

function slotOf(slot: string, type: string | undefined, restart: string | undefined): PhysicalSlot | undefined {
  if (type === undefined) return undefined;
  // Somebody else's: it must not be taken for one that keeps nothing, and be dropped.
  if (type !== 'physical') throw new WaldenError('SERVER_QUERY', `the replication slot ${slot} is a ${type} one`);
  return { restart: restart === undefined ? undefined : parseLsn(restart) };
}

/** The SQLSTATE with which the server refused something, if it was that. */
export function sqlstateOf(error: unknown): string | undefined {
  const sqlstate = error instanceof WaldenError ? error.details['sqlstate'] : undefined;
  return typeof sqlstate === 'string' ? sqlstate : undefined;
}

async function connect(config: ClientConfig): Promise<pg.Client> {
  const client = new pg.Client({
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    ...withPassfile(config),
    query_timeout: COMMAND_TIMEOUT_MS,
    keepAlive: true,
  });
  // Without a listener a lost connection would end the process; whoever reads the socket is told too.
  client.on('error', () => undefined);
  try {
    await client.connect();
    return client;
  } catch (cause) {
    client.connection.stream.destroy();
    throw new WaldenError('SERVER_UNREACHABLE', `unable to connect to PostgreSQL: ${messageOf(cause)}`, { cause });
  }
}

function optionalText(row: Row | undefined, column: string): string | undefined {
  return row?.get(column)?.toString('utf8');
}

function text(row: Row | undefined, column: string): string {
  const value = optionalText(row, column);
  if (value !== undefined) return value;
  throw new WaldenError('SERVER_QUERY', `PostgreSQL answered without ${column}`);
}

function messageOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(messageOf).join('; ');
  return error instanceof Error ? error.message : String(error);
}
