import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SftpOptions } from '../../../storage-drivers/sftp/sftp-options.ts';
import { newDirectory, removeDirectory } from '../sandbox.ts';

/** Key files of a server and of its user. */
export class SftpKeys {
  readonly directory = newDirectory('ssh');
  /** Of the server, and of who may log in. */
  readonly host = this.make('host', 'ed25519');
  readonly user = this.make('user', 'ed25519');

  /** @param passphrase '' for none. Returns the path of the private key. */
  make(name: string, type: 'ed25519' | 'ecdsa' | 'rsa', passphrase = ''): string {
    const path = join(this.directory, name);
    execFileSync('ssh-keygen', ['-q', '-t', type, '-N', passphrase, '-C', name, '-f', path]);
    return path;
  }

  /** The public key as it stands in authorized_keys and known_hosts: type and base64. */
  publicKey(path: string): string {
    return readFileSync(`${path}.pub`, 'utf8').split(' ').slice(0, 2).join(' ');
  }

  /** A file that only this user may read. */
  write(name: string, text: string): string {
    const path = join(this.directory, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  }

  remove(): void {
    removeDirectory(this.directory);
  }
}

/** A server that is asked by whoever has these options; only `path` is missing. */
export interface RunningSftpServer {
  readonly keys: SftpKeys;
  readonly options: Omit<SftpOptions, 'path'>;
  stop(): Promise<void>;
}
