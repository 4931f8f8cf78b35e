import { randomUUID } from 'node:crypto';
import { type FileHandle, link, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { generateX25519Identity } from 'age-encryption';
import { localIoError, systemErrorCode, WaldenError } from '../../src/errors.ts';
import { syncDirectory } from '../../src/platform/files.ts';
import { assertPrivate } from '../../src/platform/private-files.ts';
import { X25519Identity } from './x25519.ts';

/** A file with one secret key, in the form that age-keygen writes and `age -i` reads. */

const MAX_BYTES = 64 * 1024;
const SUFFIX = '.key';
/** Of a key that Walden made: the moment when it did. */
const MOMENT = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z\.key$/;

export interface KeyFile {
  /** Without the directory. */
  readonly name: string;
  /** As its name says; undefined for a key that was put there under another name: it opens objects, and makes none. */
  readonly createdAt: Date | undefined;
  readonly identity: X25519Identity;
}

export function isKeyFileName(name: string): boolean {
  return name.endsWith(SUFFIX) && !name.startsWith('.');
}

/** To the second. */
export function keyFileName(createdAt: Date): string {
  return `${createdAt.toISOString().replace(/[-:]|\.\d+/g, '')}${SUFFIX}`;
}

/** @throws KEY_REFUSED: others may read it, it is not ours, or it holds no key */
export async function readKeyFile(directory: string, name: string): Promise<KeyFile> {
  const path = join(directory, name);
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, 'r');
    const { mode, uid, size } = await handle.stat();
    assertPrivate(path, { mode, uid }, 0o077, 'chmod 600');
    if (size > MAX_BYTES) throw refused(path, 'is too long for a file with a key');
    return { name, createdAt: momentOf(name), identity: parseKey(path, await handle.readFile('utf8')) };
  } catch (error) {
    if (error instanceof WaldenError) throw error;
    throw refused(path, `cannot be read (${systemErrorCode(error) ?? 'it is no file with a key'})`, error);
  } finally {
    await handle?.close();
  }
}

/** Writes a new key, whole and durable or not at all; never over another. @throws LOCAL_IO, STORAGE_FULL */
export async function writeKeyFile(directory: string, createdAt: Date): Promise<KeyFile> {
  const name = keyFileName(createdAt);
  const path = join(directory, name);
  const secret = await generateX25519Identity();
  const identity = new X25519Identity(secret);
  const created = createdAt.toISOString().replace(/\.\d+/, '');
  const text = `# created: ${created}\n# public key: ${identity.recipient}\n${secret}\n`;
  await withStaged(path, text, (staged) => link(staged, path));
  return { name, createdAt: momentOf(name), identity };
}

/** The same of another small file beside the keys, which it replaces. @throws LOCAL_IO, STORAGE_FULL */
export async function writeWhole(path: string, text: string): Promise<void> {
  await withStaged(path, text, (staged) => rename(staged, path));
}

/** A file only for this user, durable before `publish` gives it its name, and with its name when this resolves. */
async function withStaged(path: string, text: string, publish: (staged: string) => Promise<void>): Promise<void> {
  const staged = join(dirname(path), `.${randomUUID()}.tmp`);
  try {
    const handle = await open(staged, 'wx', 0o600);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await publish(staged);
    await rm(staged, { force: true });
    await syncDirectory(dirname(path));
  } catch (error) {
    await rm(staged, { force: true });
    throw localIoError(error, `unable to write ${path}`);
  }
}

function momentOf(name: string): Date | undefined {
  const [, year, month, day, hour, minute, second] = MOMENT.exec(name) ?? [];
  if (second === undefined) return undefined;
  const moment = new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return Number.isNaN(moment.getTime()) ? undefined : moment;
}

/** The text is in no error: it is secret. */
function parseKey(path: string, text: string): X25519Identity {
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== '' && !line.startsWith('#'));
  if (lines.length !== 1) throw refused(path, `holds ${lines.length} keys, where one is wanted`);
  try {
    return new X25519Identity(lines[0]?.trim() ?? '');
  } catch {
    // The cause may repeat what it could not read.
    throw refused(path, 'holds no key of age (AGE-SECRET-KEY-1…)');
  }
}

function refused(path: string, fact: string, cause?: unknown): WaldenError {
  return new WaldenError('KEY_REFUSED', `${path} ${fact}`, { cause });
}
