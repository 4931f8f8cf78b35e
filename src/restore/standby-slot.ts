import { createHash } from 'node:crypto';
import { hostname } from 'node:os';
import { isWaldenError, toWaldenError, WaldenError } from '../errors.ts';
import { type ReplicationConnection, sqlstateOf } from '../postgres/replication/connection.ts';
import { onUpstream, type Upstream } from './upstream.ts';

/** How long the server may take to say whether it would stream from a slot. */
const PROBE_TIMEOUT_MS = 30_000;
/** SQLSTATEs (errcodes.txt): another standby streams from it; the server has given it up; its WAL is no longer there. */
const OBJECT_IN_USE = '55006';
const GIVEN_UP = ['55000', '58P01'];

/** Of the host and the directory: the same for each attempt, another one for each standby. */
export function standbySlotName(dataDirectory: string, host = hostname()): string {
  const word = host
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '_')
    .slice(0, 32);
  const mark = createHash('sha256').update(`${host}\0${dataDirectory}`).digest('hex').slice(0, 8);
  return `walden_standby_${word}_${mark}`;
}

/**
 * Has a physical slot of this name on the server that keeps WAL from now on. One that an earlier attempt left is taken, and
 * made anew where the server has given it up.
 * @returns `made`: it was not there before, or kept nothing
 * @throws LOCK_HELD when something streams from it; SERVER_QUERY when it is a logical one; SERVER_UNREACHABLE
 */
export async function ensureStandbySlot({ host }: Upstream, slot: string): Promise<'made' | 'found'> {
  return await onUpstream(host, async (connection) => {
    if ((await connection.createSlot(slot)) === 'created') return 'made';
    const found = await connection.readSlot(slot);
    const keeps = found?.restart !== undefined && (await onUpstream(host, (other) => wouldStream(other, slot)));
    if (keeps) return 'found';
    await connection.dropSlot(slot);
    await connection.createSlot(slot);
    return 'made';
  });
}

/** Asked by doing it: over a replication connection nothing else says whether a slot is in use. No position moves. */
async function wouldStream(connection: ReplicationConnection, slot: string): Promise<boolean> {
  // Before PostgreSQL 15 a stream wants it.
  const { timeline, flushed } = await connection.identifySystem();
  try {
    const { kind } = await connection.startStreaming({ slot, timeline, start: flushed }).next(PROBE_TIMEOUT_MS);
    if (kind !== 'silence') return true;
  } catch (error) {
    const sqlstate = sqlstateOf(error);
    if (sqlstate !== undefined && GIVEN_UP.includes(sqlstate)) return false;
    if (sqlstate !== OBJECT_IN_USE) throw error;
    throw new WaldenError('LOCK_HELD', `the replication slot ${slot} is in use on the primary`, {
      hint: 'another standby streams from it: name another slot with --slot',
      cause: error,
    });
  }
  throw new WaldenError('SERVER_UNREACHABLE', `PostgreSQL did not say whether the slot ${slot} can be used`);
}

/** The failure of a clone, after the slot was dropped that it made; where that fails too, both are told. */
export async function withSlotDropped({ host }: Upstream, slot: string, failure: unknown): Promise<unknown> {
  try {
    await onUpstream(host, (connection) => connection.dropSlot(slot));
    return failure;
  } catch (error) {
    return withSlotLeft(failure, slot, `the replication slot ${slot} could not be dropped (${messageOf(error)})`);
  }
}

/** The failure of a clone that leaves a slot on the primary, which keeps WAL there for nobody. */
export function withSlotLeft(failure: unknown, slot: string, left: string): WaldenError {
  const { code, message, hint, details } = toWaldenError(failure);
  return new WaldenError(code, `${message}; ${left}: it keeps WAL on the primary`, {
    hint: `${hint}; if you give the standby up, run there: select pg_drop_replication_slot('${slot}')`,
    details: { ...details, slot },
    cause: failure,
  });
}

function messageOf(error: unknown): string {
  return isWaldenError(error) ? error.message : String(error);
}
