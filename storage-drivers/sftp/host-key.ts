import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { ServerHostKeyAlgorithm } from 'ssh2';
import { systemErrorCode, WaldenError } from '../../src/errors.ts';
import { findServer, type KnownServer } from './known-hosts.ts';
import type { SftpOptions } from './sftp-options.ts';

/** Without those that sign with SHA-1. */
const ALGORITHMS: readonly { readonly keyType: string; readonly algorithm: ServerHostKeyAlgorithm }[] = [
  { keyType: 'ssh-ed25519', algorithm: 'ssh-ed25519' },
  { keyType: 'ecdsa-sha2-nistp256', algorithm: 'ecdsa-sha2-nistp256' },
  { keyType: 'ecdsa-sha2-nistp384', algorithm: 'ecdsa-sha2-nistp384' },
  { keyType: 'ecdsa-sha2-nistp521', algorithm: 'ecdsa-sha2-nistp521' },
  { keyType: 'ssh-rsa', algorithm: 'rsa-sha2-512' },
  { keyType: 'ssh-rsa', algorithm: 'rsa-sha2-256' },
];

/**
 * Whether a server is the one that is meant. There is no way around it: whoever sits between could else hand out, and
 * keep, every byte of the databases.
 */
export class HostKeyCheck {
  readonly #server: string;
  readonly #keyscan: string;
  readonly #known: KnownServer;
  readonly #fingerprint: string | undefined;

  /** @throws STORAGE_DENIED when known_hosts is there and cannot be read */
  static async of(options: SftpOptions): Promise<HostKeyCheck> {
    const { host, port = 22, hostKey, knownHostsFile = join(homedir(), '.ssh', 'known_hosts') } = options;
    const text = hostKey === undefined ? await readKnownHosts(knownHostsFile) : '';
    return new HostKeyCheck(options, findServer(text, host, port), knownHostsFile);
  }

  private constructor({ host, port = 22, hostKey }: SftpOptions, known: KnownServer, knownHostsFile: string) {
    this.#server = `${host}:${port}`;
    this.#keyscan = `ssh-keyscan -p ${port} ${host} >> ${knownHostsFile}`;
    this.#known = known;
    this.#fingerprint = hostKey?.replace(/=+$/, '');
  }

  /** Those whose keys are known come first: a server with several keys shows the one that is asked for first. */
  get algorithms(): ServerHostKeyAlgorithm[] {
    const isKnown = (keyType: string): boolean => this.#known.trusted.some(({ type }) => type === keyType);
    const known = ALGORITHMS.filter(({ keyType }) => isKnown(keyType));
    const others = ALGORITHMS.filter(({ keyType }) => !isKnown(keyType));
    return [...known, ...others].map(({ algorithm }) => algorithm);
  }

  /** Why the key that the server shows is refused; undefined for the right one. */
  refusal(key: Buffer): WaldenError | undefined {
    const base64 = key.toString('base64');
    const shown = `${typeOf(key)} ${fingerprintOf(key)}`;
    if (this.#fingerprint !== undefined) {
      if (fingerprintOf(key) === this.#fingerprint) return undefined;
      return this.#changed(`shows the key ${shown} instead of ${this.#fingerprint}`);
    }
    if (this.#known.revoked.some((known) => known.base64 === base64)) {
      return this.#changed(`shows the key ${shown}, which known_hosts says is revoked`);
    }
    if (this.#known.trusted.some((known) => known.base64 === base64)) return undefined;
    if (this.#known.trusted.length > 0) {
      return this.#changed(`shows the key ${shown}, which is another than known_hosts has for it`);
    }
    return new WaldenError('STORAGE_DENIED', `${this.#server} shows the key ${shown}, which nobody vouches for`, {
      hint:
        `compare it with \`ssh-keygen -lf\` of the key in /etc/ssh on the server itself; if it is the same, put it into ` +
        `host_key, or run as the service's user: ${this.#keyscan}`,
    });
  }

  #changed(fact: string): WaldenError {
    return new WaldenError('STORAGE_DENIED', `${this.#server} ${fact}`, {
      hint:
        'either the server has a new key, or somebody else answers in its place: ask who runs it, compare with ' +
        '`ssh-keygen -lf` of the key in /etc/ssh on the server itself, and only then change host_key or known_hosts',
    });
  }
}

/** As `ssh-keygen -lf` prints it. */
export function fingerprintOf(key: Buffer): string {
  return `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`;
}

/** A public key begins with its type, as a string with its length before it. */
function typeOf(key: Buffer): string {
  return key.subarray(4, 4 + key.readUInt32BE(0)).toString();
}

async function readKnownHosts(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const reason = systemErrorCode(error);
    // Then the server is unknown, and the refusal says what to do.
    if (reason === 'ENOENT') return '';
    throw new WaldenError('STORAGE_DENIED', `unable to read ${path} (${reason ?? String(error)})`, {
      hint: 'let the user of the service read it',
      cause: error,
    });
  }
}
