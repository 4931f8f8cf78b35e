import { createHash } from 'node:crypto';
import { WaldenError } from '../../errors.ts';
import { type Lsn, parseLsn, type SystemIdentifier } from '../../postgres/lsn.ts';

/** A file as PostgreSQL's `backup_manifest` lists it. */
export interface ListedFile {
  /** See `listedName`. */
  readonly name: string;
  readonly size: number;
  /** CRC-32C, as it is written there. */
  readonly checksum: string;
}

export interface ListedWal {
  readonly start: Lsn;
  readonly end: Lsn;
}

/** Of a line: a path of MAXPGPATH, each byte of which may take six, and what stands around it. */
const MAX_LINE_BYTES = 16 * 1024;
const LINE_END = 0x0a;
const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * Reads a `backup_manifest` as a server sends it (backup_manifest.c): JSON with one file to a line, so that none of it need
 * be kept, and at its end the SHA-256 of everything before. Nothing is proven before `finish` has returned.
 */
export class ServerManifestReader {
  readonly #identifier: SystemIdentifier;
  readonly #hash = createHash('sha256');
  #rest = Buffer.alloc(0);
  #wal: ListedWal[] = [];
  #sha256: string | undefined;

  /** `identifier`: what a manifest that names a system must name. */
  constructor(identifier: SystemIdentifier) {
    this.#identifier = identifier;
  }

  /** @throws FORMAT_INVALID, SERVER_MISMATCH */
  *feed(chunk: Buffer): Generator<ListedFile, void, undefined> {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let start = 0;
    for (let end = bytes.indexOf(LINE_END); end >= 0; end = bytes.indexOf(LINE_END, start)) {
      const line = bytes.subarray(start, end + 1);
      start = end + 1;
      const file = this.#readLine(line);
      if (file !== undefined) yield file;
    }
    this.#rest = Buffer.from(bytes.subarray(start));
    if (this.#rest.length > MAX_LINE_BYTES) throw invalid('has a line without an end');
  }

  /** @returns from where to where WAL is needed @throws FORMAT_INVALID, CHECKSUM_MISMATCH */
  finish(): readonly ListedWal[] {
    if (this.#sha256 === undefined || this.#rest.length > 0) throw invalid('ends too early');
    if (this.#sha256 !== this.#hash.digest('hex')) {
      throw new WaldenError('CHECKSUM_MISMATCH', 'the backup_manifest was damaged on its way from PostgreSQL', {
        hint: 'take the backup again; if it comes back, look for what changes bytes between the two hosts',
      });
    }
    return this.#wal;
  }

  #readLine(line: Buffer): ListedFile | undefined {
    if (this.#sha256 !== undefined) throw invalid('goes on behind its checksum');
    const text = line.toString('utf8').trimEnd();
    const [, sha256] = /^"Manifest-Checksum": "([0-9a-f]{64})"\}$/.exec(text) ?? [];
    if (sha256 !== undefined) {
      this.#sha256 = sha256;
      return undefined;
    }
    this.#hash.update(line);
    // A number of 64 bits, which JSON.parse would round.
    const [, identifier] = /^"System-Identifier": (\d+),$/.exec(text) ?? [];
    if (identifier !== undefined && identifier !== this.#identifier) {
      throw new WaldenError('SERVER_MISMATCH', `the backup_manifest is of system ${identifier}, not of this cluster`);
    }
    if (text.startsWith('{ "Timeline"')) this.#wal.push(walOf(objectOf(text)));
    if (!text.startsWith('{ "Path"') && !text.startsWith('{ "Encoded-Path"')) return undefined;
    return fileOf(objectOf(text));
  }
}

/** A name as manifests know it: text where it is UTF-8, else its bytes in hex, which begin with a character no name has. */
export function listedName(name: Buffer): string {
  try {
    return utf8.decode(name);
  } catch {
    // Not UTF-8.
    return encodedName(name.toString('hex'));
  }
}

function encodedName(hex: string): string {
  return `\0${hex}`;
}

/** As it stands in a manifest: the bytes of the number, the lowest first (pg_checksum_final). */
export function listedChecksum(crc: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(crc | 0);
  return bytes.toString('hex');
}

function objectOf(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text.replace(/,$/, '')) as Record<string, unknown>;
  } catch {
    throw invalid('has a line that is no JSON');
  }
}

function fileOf(json: Record<string, unknown>): ListedFile {
  const { Path: path, 'Encoded-Path': encoded, Size: size, Checksum: checksum } = json;
  const name = typeof path === 'string' ? path : typeof encoded === 'string' ? encodedName(encoded) : undefined;
  if (name === undefined || typeof size !== 'number' || typeof checksum !== 'string') {
    throw invalid('has a file without its name, size or checksum');
  }
  return { name, size, checksum };
}

function walOf({ 'Start-LSN': start, 'End-LSN': end }: Record<string, unknown>): ListedWal {
  if (typeof start !== 'string' || typeof end !== 'string') throw invalid('has a range of WAL without its ends');
  return { start: parseLsn(start), end: parseLsn(end) };
}

function invalid(fact: string): WaldenError {
  return new WaldenError('FORMAT_INVALID', `the backup_manifest that PostgreSQL sent ${fact}`);
}
