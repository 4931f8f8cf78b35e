import { createHash, createHmac, hkdfSync } from 'node:crypto';
import { Decrypter, type Identity, type Stanza } from 'age-encryption';
import { WaldenError } from '../../src/errors.ts';
import { X25519Recipient } from './x25519.ts';

/**
 * The header of an encrypted object: that of age, always filled up to the same length, so that the size of what is in the
 * object follows from the size of the object. The filling is the last stanza, of a type that age passes over:
 *
 *     -> walden.padding <set> <sum> xxxx…
 *
 * `set` tells, to whoever has the file key, for which recipients the header was made: they are anonymous otherwise. `sum` is
 * a checksum of all that stands before the filling, which tells damage from a header for other keys. age's own MAC is over
 * all of it.
 */

export const HEADER_BYTES = 2048;
/** A stanza of one takes 98 bytes. */
export const MAX_RECIPIENTS = 16;

const PADDING = 'walden.padding';
/** No more than what `encodeHeader` writes: what age could not even read would look as if no key opened it. */
const WHOLE =
  /^(age-encryption\.org\/v1\n.*?)-> walden\.padding ([A-Za-z0-9+/]{22}) (\S+) x+\n\n--- [A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]\n$/s;
const TOKEN_BYTES = 16;
const MAC_BYTES = 32;
/** Bytes of a line of a stanza's body, before base64. */
const LINE_BYTES = 48;

/** The key that everything else in an object is derived from. */
export type FileKey = Buffer & { readonly __fileKey: unique symbol };

export interface OpenedHeader {
  readonly fileKey: FileKey;
  /** For the question whether it was made for certain recipients: see `recipientSet`. */
  readonly set: string;
}

/** @param recipients `age1…`, at most MAX_RECIPIENTS. @throws Error for what is no recipient */
export function encodeHeader(fileKey: FileKey, recipients: readonly string[]): Buffer {
  const stanzas = recipients.flatMap((text) => new X25519Recipient(text).wrapFileKey(fileKey));
  const before = `age-encryption.org/v1\n${stanzas.map(encodeStanza).join('')}`;
  const sum = token(createHash('sha256').update(before).digest());
  const padding = `-> ${PADDING} ${recipientSet(fileKey, recipients)} ${sum} `;
  const after = '\n\n---';
  const macLine = ` ${base64(Buffer.alloc(MAC_BYTES))}\n`;
  const room = HEADER_BYTES - (before.length + padding.length + after.length + macLine.length);
  const covered = `${before}${padding}${'x'.repeat(room)}${after}`;
  return Buffer.from(`${covered} ${base64(macOf(fileKey, covered))}\n`);
}

/** Nobody learns anything from it without the file key, not even that two objects have the same recipients. */
export function recipientSet(fileKey: FileKey, recipients: readonly string[]): string {
  const key = Buffer.from(hkdfSync('sha256', fileKey, '', 'walden recipients', MAC_BYTES));
  return token(
    createHmac('sha256', key)
      .update([...recipients].sort().join('\n'))
      .digest(),
  );
}

/**
 * Undefined: it is whole, and none of the identities opens it.
 * @throws CHECKSUM_MISMATCH for a damaged one, and for what Walden did not make
 */
export async function openHeader(
  header: Uint8Array,
  identities: readonly Identity[],
  what: string,
): Promise<OpenedHeader | undefined> {
  const set = assertWhole(Buffer.from(header), what);
  const all = new FirstOf(identities);
  const decrypter = new Decrypter();
  decrypter.addIdentity(all);
  try {
    return { fileKey: Buffer.from(await decrypter.decryptHeader(header)) as FileKey, set };
  } catch (cause) {
    // With the right key in hand, only the MAC can be wrong.
    if (all.hasOpened) throw damaged(what, cause);
    return undefined;
  }
}

/** The first of several identities that opens something. */
class FirstOf implements Identity {
  readonly #identities: readonly Identity[];
  hasOpened = false;

  constructor(identities: readonly Identity[]) {
    this.#identities = identities;
  }

  async unwrapFileKey(stanzas: Stanza[]): Promise<Uint8Array | null> {
    for (const identity of this.#identities) {
      const fileKey = await identity.unwrapFileKey(stanzas);
      if (fileKey === null) continue;
      this.hasOpened = true;
      return fileKey;
    }
    return null;
  }
}

/** Returns the set of its recipients. */
function assertWhole(header: Buffer, what: string): string {
  const found = WHOLE.exec(header.toString('latin1'));
  const [, before = '', set = '', sum = ''] = found ?? [];
  if (header.length !== HEADER_BYTES || sum !== token(createHash('sha256').update(before, 'latin1').digest())) {
    throw damaged(what);
  }
  return set;
}

function damaged(what: string, cause?: unknown): WaldenError {
  return new WaldenError('CHECKSUM_MISMATCH', `the header of ${what} is damaged, or not one that Walden made`, {
    cause,
  });
}

function macOf(fileKey: FileKey, covered: string): Buffer {
  const key = Buffer.from(hkdfSync('sha256', fileKey, '', 'header', MAC_BYTES));
  return createHmac('sha256', key).update(covered).digest();
}

function encodeStanza({ args, body }: Stanza): string {
  const lines = Array.from({ length: Math.floor(body.length / LINE_BYTES) + 1 }, (_, line) =>
    base64(body.subarray(line * LINE_BYTES, (line + 1) * LINE_BYTES)),
  );
  return `-> ${args.join(' ')}\n${lines.join('\n')}\n`;
}

function token(digest: Buffer): string {
  return base64(digest.subarray(0, TOKEN_BYTES));
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64').replace(/=+$/, '');
}
