import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { encryptFile } from '../../storage-drivers/encrypt-file.ts';
import { KeyRing } from '../../storage-drivers/age/key-ring.ts';
import type { StorageDriver } from '../../storage-drivers/driver.ts';
import { driverWithEncryption, type EncryptionSettings } from '../../storage-drivers/with-encryption.ts';
import { newDirectory } from './sandbox.ts';

/** What `age-keygen` prints. */
export interface GeneratedKey {
  readonly recipient: string;
  readonly path: string;
}

export const whyNoAge = isThere('age') ? undefined : 'age is not installed';

function isThere(program: string): boolean {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** A key ring with one key, of a moment long ago. */
export async function newKeyRing(recipients: readonly string[] = []): Promise<KeyRing> {
  const keyDirectory = newDirectory('keys');
  const keys = new KeyRing({ keyDirectory, recipients, repository: 'offsite' });
  await keys.make(new Date('2026-01-02T03:04:05Z'), 'first');
  return keys;
}

/** As compose does it, but on this thread. */
export function encrypted(inner: StorageDriver, keys: KeyRing): StorageDriver {
  return driverWithEncryption(inner, encryptionSettings(keys));
}

export function encryptionSettings(keys: KeyRing): EncryptionSettings {
  return {
    keys,
    stagingDirectory: newDirectory('staging'),
    encryptFile: async (input) => Promise.resolve(encryptFile(input)),
  };
}

/** The file of the current key. */
export async function currentKeyPath(keys: KeyRing): Promise<string> {
  const { current } = await keys.keys();
  if (current === undefined) throw new Error('there is no key');
  return join(keys.options.keyDirectory, current.name);
}

/** With the standard program. */
export function ageKeygen(directory: string, name: string): GeneratedKey {
  const text = execFileSync('age-keygen', { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  const path = join(directory, name);
  writeFileSync(path, text, { mode: 0o600 });
  const recipient = /age1[a-z0-9]+/.exec(text)?.[0];
  if (recipient === undefined) throw new Error('age-keygen names no public key');
  return { recipient, path };
}

/** With the standard program. */
export function ageDecrypt(keyPath: string, bytes: Uint8Array): Buffer {
  return execFileSync('age', ['-d', '-i', keyPath], { input: bytes, maxBuffer: 1 << 28 });
}
