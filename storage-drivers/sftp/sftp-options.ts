/** Where a repository is on an SFTP server, and who Walden is there. */
export interface SftpOptions {
  readonly host: string;
  /** By default 22. */
  readonly port: number | undefined;
  readonly user: string;
  /** The repository's root: an absolute directory on the server. */
  readonly path: string;
  /** A private key, for nobody else to read. Without it and a password: ssh-agent, else the usual keys in `~/.ssh`. */
  readonly keyFile: string | undefined;
  /** The file whose first line decrypts the key. */
  readonly passphraseFile: string | undefined;
  /** The file whose first line is the user's password on the server. */
  readonly passwordFile: string | undefined;
  /** By default `~/.ssh/known_hosts`. */
  readonly knownHostsFile: string | undefined;
  /** The only key that is believed to be the server's: `SHA256:…`, as `ssh-keygen -lf` prints it. */
  readonly hostKey: string | undefined;
}

/** How long the server is waited for, in milliseconds. */
export interface SftpPatience {
  /** From the first packet until the user is logged in. */
  readonly connectMs: number;
  /** For any answer while some are due; a large file is made durable within one. */
  readonly answerMs: number;
  /** For what is tidied up after a call that was given up. */
  readonly tidyMs: number;
  /** Between two questions whether the server is still there; the third without an answer ends the connection. */
  readonly keepaliveMs: number;
}

export const PATIENCE: SftpPatience = {
  connectMs: 15_000,
  answerMs: 60_000,
  tidyMs: 5_000,
  keepaliveMs: 10_000,
};
