import { realpath } from 'node:fs/promises';
import { hostname } from 'node:os';
import type { WalNode } from '../../catalog/writers.ts';
import { WaldenError } from '../errors.ts';
import { readNodeState, type NodeState } from '../postgres/node-state.ts';
import { type TimelineId, timelineId } from '../postgres/lsn.ts';

/**
 * How a node is named: the name of its host and its data directory without symlinks. Its text is canonical: what cannot be
 * printed, is no UTF-8 or would be read as something else is percent-encoded, so that two places never look the same and
 * what a message shows can be given back.
 */

/** HOST_NAME_MAX of POSIX, and MAXPGPATH of PostgreSQL (pg_config_manual.h). */
const MAX_HOST_BYTES = 255;
const MAX_PATH_BYTES = 1024;
/** Controls, invisible and unassigned characters, line ends. */
const UNSEEN = '\\p{C}\\p{Zl}\\p{Zp}%';
const NOT_IN_HOST = new RegExp(`[${UNSEEN}:]`, 'u');
const NOT_IN_PATH = new RegExp(`[${UNSEEN}]`, 'u');

/** What `bin/walden-push` tells of a node beside its file. */
export interface ToldNode extends NodeState {
  readonly node: WalNode;
}

/** The headers of an upload, in the lower case that Node gives them. */
export const NODE_HEADERS = {
  host: 'walden-host',
  dataDirectory: 'walden-data-directory',
  inRecovery: 'walden-in-recovery',
  newestTimeline: 'walden-newest-timeline',
} as const;

export function nodeText({ host, dataDirectory }: WalNode): string {
  return `${host}:${dataDirectory}`;
}

export function isSameNode(one: WalNode, other: WalNode): boolean {
  return one.host === other.host && one.dataDirectory === other.dataDirectory;
}

/** `HOST:DIRECTORY`, as nodeText writes it or somebody types it. @throws USAGE */
export function parseNodeText(text: string): WalNode {
  const colon = text.indexOf(':');
  if (colon < 0) throw invalid(`${JSON.stringify(text)} is not HOST:DIRECTORY`);
  return nodeOf(decoded(text.slice(0, colon)), decoded(text.slice(colon + 1)));
}

/** A data directory of this host. @throws Error of the system when it is not there */
export async function localNode(dataDirectory: string): Promise<WalNode> {
  return nodeOf(Buffer.from(hostname()), await realpath(dataDirectory, 'buffer'));
}

/** What a program on the database host tells of the data directory that it works in. */
export async function nodeHeaders(dataDirectory: string): Promise<Readonly<Record<string, string>>> {
  const path = await realpath(dataDirectory, 'buffer');
  const { inRecovery, newestTimeline } = await readNodeState(dataDirectory);
  return {
    [NODE_HEADERS.host]: encoded(Buffer.from(hostname())),
    [NODE_HEADERS.dataDirectory]: encoded(path),
    ...(inRecovery ? { [NODE_HEADERS.inRecovery]: 'yes' } : {}),
    [NODE_HEADERS.newestTimeline]: newestTimeline.toString(16).toUpperCase().padStart(8, '0'),
  };
}

/** Undefined where no node is told: a file that somebody brings by hand. @throws USAGE for what is not well told */
export function toldNode(headers: Readonly<Record<string, string | string[] | undefined>>): ToldNode | undefined {
  const { host, dataDirectory, inRecovery, newestTimeline } = NODE_HEADERS;
  if (headers[host] === undefined && headers[dataDirectory] === undefined) return undefined;
  return {
    node: nodeOf(headerBytes(headers, host), headerBytes(headers, dataDirectory)),
    inRecovery: oneOf(headers, inRecovery, /^yes$/) !== undefined,
    newestTimeline: timelineOf(oneOf(headers, newestTimeline, /^[0-9A-F]{8}$/)),
  };
}

function headerBytes(headers: Readonly<Record<string, string | string[] | undefined>>, name: string): Buffer {
  return decoded(oneOf(headers, name, /^(?:[\w/.-]|%[0-9A-Fa-f]{2})+$/) ?? '');
}

function oneOf(
  headers: Readonly<Record<string, string | string[] | undefined>>,
  name: string,
  pattern: RegExp,
): string | undefined {
  const value = headers[name];
  if (value === undefined) return undefined;
  if (typeof value === 'string' && pattern.test(value)) return value;
  throw invalid(`the header ${name} is not as walden-push writes it`);
}

function timelineOf(digits: string | undefined): TimelineId {
  return timelineId(Math.max(1, Number.parseInt(digits ?? '1', 16)));
}

function nodeOf(host: Buffer, dataDirectory: Buffer): WalNode {
  if (host.length === 0 || host.length > MAX_HOST_BYTES) throw invalid('the name of the host is empty or too long');
  if (dataDirectory[0] !== 0x2f || dataDirectory.length > MAX_PATH_BYTES) {
    throw invalid('the data directory is no absolute path, or too long');
  }
  return { host: canonical(host, NOT_IN_HOST), dataDirectory: canonical(dataDirectory, NOT_IN_PATH) };
}

function canonical(bytes: Buffer, hidden: RegExp): string {
  const text = bytes.toString('utf8');
  // What is no text is looked at byte by byte.
  const parts = Buffer.from(text).equals(bytes)
    ? Array.from(text, (part) => Buffer.from(part))
    : [...bytes].map(byteOf);
  return parts
    .map((part) => {
      const shown = part.toString('utf8');
      return hidden.test(shown) || shown === '\uFFFD' ? percent(part) : shown;
    })
    .join('');
}

function byteOf(byte: number): Buffer {
  return Buffer.from([byte]);
}

function percent(bytes: Buffer): string {
  return [...bytes].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('');
}

function encoded(bytes: Buffer): string {
  return [...bytes]
    .map(byteOf)
    .map((byte) => (/[\w/.-]/.test(byte.toString('latin1')) ? byte.toString('latin1') : percent(byte)))
    .join('');
}

function decoded(text: string): Buffer {
  const parts = text.split(/%([0-9A-Fa-f]{2})/);
  return Buffer.concat(parts.map((part, index) => Buffer.from(part, index % 2 === 0 ? 'utf8' : 'hex')));
}

function invalid(message: string): WaldenError {
  return new WaldenError('USAGE', message, { hint: 'a node is HOST:DIRECTORY, as walden cluster writer shows it' });
}
