import {
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
} from 'node:crypto';
import { bech32 } from '@scure/base';
import { type Identity, type Recipient, Stanza } from 'age-encryption';

/**
 * X25519 recipients and identities as the age specification has them, over OpenSSL: a header is made for every segment, and
 * the package's own ones take ten times as long.
 */

const LABEL = 'age-encryption.org/v1/X25519';
const TYPE = 'X25519';
const KEY_BYTES = 32;
const FILE_KEY_BYTES = 16;
const TAG_BYTES = 16;
/** What DER puts before the 32 bytes (RFC 8410). */
const PRIVATE_PREFIX = Buffer.from('302e020100300506032b656e04220420', 'hex');
const PUBLIC_PREFIX = Buffer.from('302a300506032b656e032100', 'hex');
/** Each wrapping key is used once. */
const NO_NONCE = Buffer.alloc(12);

export class X25519Recipient implements Recipient {
  readonly #publicBytes: Buffer;
  readonly #publicKey: KeyObject;

  /** @param text `age1…` @throws Error for what is no such recipient */
  constructor(text: string) {
    this.#publicBytes = decoded(text, 'age');
    this.#publicKey = publicKeyOf(this.#publicBytes);
  }

  wrapFileKey(fileKey: Uint8Array): Stanza[] {
    const { publicKey, privateKey } = generateKeyPairSync('x25519');
    const share = bytesOf(publicKey);
    const key = wrappingKey(privateKey, this.#publicKey, share, this.#publicBytes);
    const cipher = createCipheriv('chacha20-poly1305', key, NO_NONCE, { authTagLength: TAG_BYTES });
    const body = Buffer.concat([cipher.update(fileKey), cipher.final(), cipher.getAuthTag()]);
    return [new Stanza([TYPE, withoutPadding(share)], body)];
  }
}

export class X25519Identity implements Identity {
  readonly #privateKey: KeyObject;
  readonly #publicBytes: Buffer;

  /** @param text `AGE-SECRET-KEY-1…` @throws Error, which does not repeat it, for what is no such identity */
  constructor(text: string) {
    const scalar = decoded(text, 'AGE-SECRET-KEY-');
    this.#privateKey = createPrivateKey({
      key: Buffer.concat([PRIVATE_PREFIX, scalar]),
      format: 'der',
      type: 'pkcs8',
    });
    this.#publicBytes = bytesOf(createPublicKey(this.#privateKey));
  }

  /** `age1…` */
  get recipient(): string {
    return bech32.encodeFromBytes('age', this.#publicBytes);
  }

  unwrapFileKey(stanzas: Stanza[]): Uint8Array | null {
    for (const { args, body } of stanzas) {
      const [type, text = ''] = args;
      if (type !== TYPE) continue;
      const share = Buffer.from(text, 'base64');
      if (share.length !== KEY_BYTES || body.length !== FILE_KEY_BYTES + TAG_BYTES) continue;
      const fileKey = this.#unwrap(share, body);
      if (fileKey !== null) return fileKey;
    }
    return null;
  }

  /** Null for what was wrapped for somebody else, or is damaged: that cannot be told apart. */
  #unwrap(share: Buffer, body: Uint8Array): Buffer | null {
    try {
      const key = wrappingKey(this.#privateKey, publicKeyOf(share), share, this.#publicBytes);
      const decipher = createDecipheriv('chacha20-poly1305', key, NO_NONCE, { authTagLength: TAG_BYTES });
      decipher.setAuthTag(body.subarray(FILE_KEY_BYTES));
      return Buffer.concat([decipher.update(body.subarray(0, FILE_KEY_BYTES)), decipher.final()]);
    } catch {
      // The tag does not match, or the share is a point that gives no secret.
      return null;
    }
  }
}

function wrappingKey(privateKey: KeyObject, publicKey: KeyObject, share: Buffer, recipient: Buffer): Buffer {
  const secret = diffieHellman({ privateKey, publicKey });
  return Buffer.from(hkdfSync('sha256', secret, Buffer.concat([share, recipient]), LABEL, KEY_BYTES));
}

function decoded(text: string, prefix: string): Buffer {
  const { prefix: found, bytes } = bech32.decodeToBytes(text);
  // Recipients are lower case, identities upper case; bech32 itself allows both.
  const isCased = prefix === prefix.toLowerCase() ? text === text.toLowerCase() : text === text.toUpperCase();
  if (found !== prefix.toLowerCase() || !isCased || bytes.length !== KEY_BYTES) {
    throw new Error(`not a key that begins with ${prefix}`);
  }
  return Buffer.from(bytes);
}

function publicKeyOf(bytes: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.concat([PUBLIC_PREFIX, bytes]), format: 'der', type: 'spki' });
}

function bytesOf(publicKey: KeyObject): Buffer {
  return publicKey.export({ format: 'der', type: 'spki' }).subarray(PUBLIC_PREFIX.length);
}

function withoutPadding(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64').replace(/=+$/, '');
}
