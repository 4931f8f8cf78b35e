import { createHash } from 'node:crypto';
import { WaldenError } from '../errors.ts';

/**
 * JSON objects that carry the hash of their own content as the last member, `sha256`: of the UTF-8 text
 * `JSON.stringify(value, null, 2)` without that member. Readable by people, and a changed byte is noticed.
 */

/** Several times what Walden writes. */
const MAX_LEVELS = 16;

/** The text to store. */
export function sealJson(value: Readonly<Record<string, unknown>>): Buffer {
  return Buffer.from(`${JSON.stringify({ ...value, sha256: hashOf(value) }, null, 2)}\n`);
}

/** The value without its seal. `what` names the object in errors. @throws FORMAT_INVALID, CHECKSUM_MISMATCH */
export function openSealedJson(bytes: Uint8Array, what: string): Record<string, unknown> {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new WaldenError('FORMAT_INVALID', `${what} is not JSON`, { cause });
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new WaldenError('FORMAT_INVALID', `${what} is not a JSON object`);
  }
  const { sha256, ...value } = json as Record<string, unknown>;
  if (typeof sha256 !== 'string') throw new WaldenError('FORMAT_INVALID', `${what} lacks its sha256`);
  if (isNestedTooDeep(value)) {
    throw new WaldenError('FORMAT_INVALID', `${what} is nested deeper than anything that Walden writes`);
  }
  if (hashOfRead(value, what) !== sha256) {
    throw new WaldenError('CHECKSUM_MISMATCH', `${what} was changed: its content does not match its sha256`);
  }
  return value;
}

/**
 * Whether hashing would take far more memory than the value: each line of its text is indented by its level, which makes
 * hundreds of megabytes out of one that is deep and wide.
 */
export function isNestedTooDeep(value: unknown, levels = MAX_LEVELS): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levels === 0 || Object.values(value).some((member) => isNestedTooDeep(member, levels - 1));
}

function hashOfRead(value: Readonly<Record<string, unknown>>, what: string): string {
  try {
    return hashOf(value);
  } catch (cause) {
    // The text is longer than a string can be.
    throw new WaldenError('FORMAT_INVALID', `${what} is larger than anything that Walden writes`, { cause });
  }
}

function hashOf(value: Readonly<Record<string, unknown>>): string {
  return createHash('sha256')
    .update(JSON.stringify(value, null, 2))
    .digest('hex');
}
