import { WaldenError } from '../src/errors.ts';
import type { ObjectKey } from './driver.ts';

const MAX_KEY_BYTES = 1024;

/**
 * Checks a key before it becomes a path or a URL.
 * @throws FORMAT_INVALID unless 1 to 1,024 of `[A-Za-z0-9._-]` and `/`, without an empty, `.` or `..` part.
 */
export function objectKey(text: string): ObjectKey {
  const parts = text.split('/');
  const sound =
    text.length <= MAX_KEY_BYTES &&
    parts.every((part) => /^[A-Za-z0-9._-]+$/.test(part) && part !== '.' && part !== '..');
  if (!sound) throw new WaldenError('FORMAT_INVALID', `${JSON.stringify(text)} is not the key of an object`);
  return text as ObjectKey;
}
