import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { localIoError, systemErrorCode, WaldenError } from '../../src/errors.ts';
import { makeDirectories } from '../../src/platform/files.ts';
import { assertPrivate } from '../../src/platform/private-files.ts';
import { encodeHeader, type FileKey, MAX_RECIPIENTS, openHeader, type OpenedHeader } from './header.ts';
import { isKeyFileName, type KeyFile, readKeyFile, writeKeyFile, writeWhole } from './key-file.ts';
import type { ObjectKeys } from './object-keys.ts';
import { X25519Recipient } from './x25519.ts';

/** Names the key that objects are being given headers for. */
const REWRAP_NOTE = 'rewrap.unfinished';

/** What the configuration of a repository says about its keys. */
export interface KeyOptions {
  readonly keyDirectory: string;
  /** Besides the current key: who else can open new objects, `age1…`. */
  readonly recipients: readonly string[];
  /** For hints. */
  readonly repository: string;
}

export interface Keys {
  /** Newest first; those of other names last. */
  readonly files: readonly KeyFile[];
  /** The one for new objects: the newest by its name. */
  readonly current: KeyFile | undefined;
}

/**
 * The keys of one repository. All in the directory open objects; the newest, with the further recipients, is for new ones. The
 * directory is read again when it has changed, so a new key is used from then on without a restart.
 */
export class KeyRing implements ObjectKeys {
  readonly options: KeyOptions;
  #read: { readonly state: string; readonly keys: Keys } | undefined;

  /** @throws CONFIG_INVALID for a recipient that is none */
  constructor(options: KeyOptions) {
    this.options = options;
    const { recipients, repository } = options;
    for (const recipient of recipients) assertRecipient(recipient, repository);
    if (recipients.length >= MAX_RECIPIENTS) {
      throw new WaldenError(
        'CONFIG_INVALID',
        `repository ${repository} has more than ${MAX_RECIPIENTS - 1} recipients`,
      );
    }
  }

  /** @throws KEY_MISSING without a directory, KEY_REFUSED, LOCAL_IO */
  async keys(): Promise<Keys> {
    const { keyDirectory } = this.options;
    const state = await this.#state();
    if (this.#read?.state === state) return this.#read.keys;
    const names = (await this.#names()).filter(isKeyFileName);
    const files = await Promise.all(names.map((name) => readKeyFile(keyDirectory, name)));
    files.sort((a, b) => (b.createdAt?.getTime() ?? 0) - (a.createdAt?.getTime() ?? 0) || (a.name < b.name ? -1 : 1));
    const keys = { files, current: files.find(({ createdAt }) => createdAt !== undefined) };
    this.#read = { state, keys };
    return keys;
  }

  /** For new objects, the current key's own first. @throws KEY_MISSING, and as `keys` */
  async recipients(): Promise<readonly string[]> {
    const { current } = await this.keys();
    if (current === undefined) throw this.#missing('there is no key for new objects');
    return [current.identity.recipient, ...this.options.recipients];
  }

  /** @throws as `recipients` */
  async seal(fileKey: FileKey): Promise<Buffer> {
    return encodeHeader(fileKey, await this.recipients());
  }

  /** @throws KEY_MISSING when none of the keys opens it, CHECKSUM_MISMATCH, and as `keys` */
  async open(header: Uint8Array, what: string): Promise<OpenedHeader> {
    const { files } = await this.keys();
    const identities = files.map(({ identity }) => identity);
    const opened = await openHeader(header, identities, what);
    if (opened !== undefined) return opened;
    throw this.#missing(`${what} is encrypted, and ${files.length === 0 ? 'there is no key' : 'no key here opens it'}`);
  }

  /**
   * Makes a key, and the directory where it is missing. It becomes the current one, also where the clock was set back.
   * `first`: only where there is none yet. @throws PATH_NOT_EMPTY, KEY_MISSING (nothing to follow), KEY_REFUSED, LOCAL_IO
   */
  async make(now: Date, which: 'first' | 'next'): Promise<KeyFile> {
    const { keyDirectory, repository } = this.options;
    await makeDirectories(keyDirectory, 0o700).catch((error: unknown) => {
      throw localIoError(error, `unable to make the directory ${keyDirectory}`);
    });
    const { current } = await this.keys();
    if (which === 'first' && current !== undefined) {
      throw new WaldenError('PATH_NOT_EMPTY', `repository ${repository} has a key already: ${current.name}`, {
        hint: `for another one beside it, run: walden key rotate ${repository}`,
      });
    }
    if (which === 'next' && current === undefined) throw this.#missing('there is no key that could be rotated');
    const newest = current?.createdAt?.getTime() ?? 0;
    const made = await writeKeyFile(keyDirectory, new Date(Math.max(now.getTime(), newest + 1000)));
    this.#read = undefined;
    return made;
  }

  /** Notes that objects are being given headers for the current key, until `rewrapEnded`. @throws LOCAL_IO */
  async beginRewrap(): Promise<void> {
    const { current } = await this.keys();
    if (current !== undefined) await writeWhole(this.#notePath, `${current.name}\n`);
  }

  /** Whether that was begun for the current key, and has not ended. @throws as `keys` */
  async isRewrapUnfinished(): Promise<boolean> {
    const { current } = await this.keys();
    try {
      return (await readFile(this.#notePath, 'utf8')).trim() === current?.name;
    } catch (error) {
      if (systemErrorCode(error) === 'ENOENT') return false;
      throw localIoError(error, `unable to read ${this.#notePath}`);
    }
  }

  /** @throws LOCAL_IO */
  async rewrapEnded(): Promise<void> {
    await rm(this.#notePath, { force: true }).catch((error: unknown) => {
      throw localIoError(error, `unable to remove ${this.#notePath}`);
    });
  }

  get #notePath(): string {
    return join(this.options.keyDirectory, REWRAP_NOTE);
  }

  async #names(): Promise<readonly string[]> {
    try {
      return await readdir(this.options.keyDirectory);
    } catch (error) {
      throw localIoError(error, `unable to read ${this.options.keyDirectory}`);
    }
  }

  /** Changes whenever a key is put there or taken away. */
  async #state(): Promise<string> {
    const { keyDirectory } = this.options;
    try {
      const { mode, uid, ino, mtimeNs, ctimeNs } = await stat(keyDirectory, { bigint: true });
      // Who can put a key there would read all that is stored from then on.
      assertPrivate(keyDirectory, { mode: Number(mode), uid: Number(uid) }, 0o022, 'chmod 700');
      return `${ino} ${mtimeNs} ${ctimeNs}`;
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') throw localIoError(error, `unable to read ${keyDirectory}`);
      throw this.#missing('its directory does not exist');
    }
  }

  #missing(fact: string): WaldenError {
    const { keyDirectory, repository } = this.options;
    return new WaldenError('KEY_MISSING', `${fact} (keys of repository ${repository}: ${keyDirectory})`, {
      hint: `put the key there that was kept for this; for a new repository, run: walden key new ${repository}`,
    });
  }
}

/** @throws CONFIG_INVALID */
function assertRecipient(recipient: string, repository: string): void {
  try {
    new X25519Recipient(recipient);
  } catch (cause) {
    throw new WaldenError('CONFIG_INVALID', `recipients of repository ${repository}: ${recipient} is no recipient`, {
      hint: 'give each as age-keygen prints it: age1… (62 characters, X25519)',
      cause,
    });
  }
}
