import { WaldenError } from '../errors.ts';

/**
 * Headers of tar members: POSIX ustar, with a pax header before it for what ustar cannot hold (long names, sizes of
 * 8 GiB and more, large owner numbers).
 */

export const TAR_BLOCK_BYTES = 512;
const MAX_OCTAL_7 = 0o7777777;
const MAX_OCTAL_11 = 0o77777777777;
const NAME_BYTES = 100;
const PREFIX_BYTES = 155;

export interface TarMember {
  /** Relative, without `.` and `..`. */
  readonly path: string;
  readonly type: 'file' | 'directory';
  readonly size: number;
  /** Permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeSeconds: number;
}

/** The header blocks of one member; its data and the padding follow. */
export function encodeTarHeader(member: TarMember): Buffer {
  const name = member.type === 'directory' ? `${member.path}/` : member.path;
  const split = splitName(name);
  const records: [string, string][] = [];
  if (split === undefined) records.push(['path', name]);
  if (member.size > MAX_OCTAL_11) records.push(['size', member.size.toString()]);
  if (member.uid > MAX_OCTAL_7) records.push(['uid', member.uid.toString()]);
  if (member.gid > MAX_OCTAL_7) records.push(['gid', member.gid.toString()]);
  const header = ustarBlock(member, split ?? { prefix: '', name: truncated(name) }, typeFlag(member.type));
  return records.length === 0 ? header : Buffer.concat([paxHeader(member, records), header]);
}

/** Zero bytes that follow `size` bytes of data. */
export function tarPaddingBytes(size: number): number {
  return (TAR_BLOCK_BYTES - (size % TAR_BLOCK_BYTES)) % TAR_BLOCK_BYTES;
}

/** Two blocks of zeros: the end of an archive. */
export function tarEnd(): Buffer {
  return Buffer.alloc(2 * TAR_BLOCK_BYTES);
}

function typeFlag(type: TarMember['type']): string {
  return type === 'file' ? '0' : '5';
}

function paxHeader(member: TarMember, records: readonly (readonly [string, string])[]): Buffer {
  const data = Buffer.concat(records.map(([key, value]) => paxRecord(key, value)));
  const member_ = { ...member, size: data.byteLength, mode: 0o600 };
  const header = ustarBlock(member_, { prefix: '', name: truncated(`PaxHeaders/${member.path}`) }, 'x');
  return Buffer.concat([header, data, Buffer.alloc(tarPaddingBytes(data.byteLength))]);
}

/** `<length> <key>=<value>\n`, where the length counts its own digits too. */
function paxRecord(key: string, value: string): Buffer {
  const rest = ` ${key}=${value}\n`;
  const restBytes = Buffer.byteLength(rest);
  let length = restBytes + 1;
  while (length !== restBytes + length.toString().length) length = restBytes + length.toString().length;
  return Buffer.from(`${length}${rest}`);
}

function ustarBlock(
  member: TarMember,
  { prefix, name }: { readonly prefix: string; readonly name: string },
  flag: string,
): Buffer {
  const block = Buffer.alloc(TAR_BLOCK_BYTES);
  block.write(name, 0, NAME_BYTES, 'utf8');
  writeOctal(block, member.mode & 0o7777, 100, 8);
  writeOctal(block, Math.min(member.uid, MAX_OCTAL_7), 108, 8);
  writeOctal(block, Math.min(member.gid, MAX_OCTAL_7), 116, 8);
  writeOctal(block, Math.min(member.type === 'directory' && flag !== 'x' ? 0 : member.size, MAX_OCTAL_11), 124, 12);
  writeOctal(block, Math.min(Math.max(member.mtimeSeconds, 0), MAX_OCTAL_11), 136, 12);
  block.write('        ', 148, 'latin1');
  block.write(flag, 156, 'latin1');
  block.write('ustar\u000000', 257, 'latin1');
  block.write(prefix, 345, PREFIX_BYTES, 'utf8');
  let sum = 0;
  // Not for-of, whose steps cost more than all the rest of a header.
  for (let at = 0; at < TAR_BLOCK_BYTES; at += 1) sum += block[at] ?? 0;
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

function writeOctal(block: Buffer, value: number, offset: number, width: number): void {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new WaldenError('INTERNAL', `${value} does not fit into a tar header`);
  }
  block.write(`${value.toString(8).padStart(width - 1, '0')}\0`, offset, 'latin1');
}

/** Only ASCII goes into ustar's fields; a longer name is split at a slash where one stands right. */
function splitName(name: string): { readonly prefix: string; readonly name: string } | undefined {
  if (!/^[\x20-\x7e]*$/.test(name)) return undefined;
  if (name.length <= NAME_BYTES) return { prefix: '', name };
  for (let slash = name.indexOf('/'); slash > 0 && slash <= PREFIX_BYTES; slash = name.indexOf('/', slash + 1)) {
    const rest = name.slice(slash + 1);
    if (rest.length > 0 && rest.length <= NAME_BYTES) return { prefix: name.slice(0, slash), name: rest };
  }
  return undefined;
}

function truncated(name: string): string {
  return name.replace(/[^\x20-\x7e]/g, '_').slice(0, NAME_BYTES - 1);
}
