import { isWaldenError, systemErrorCode, WaldenError, withContext } from '../../src/errors.ts';

/** Answers of an SFTP server, version 3 of the protocol. FAILURE is all that most of them say of most errors. */
export const SftpStatus = {
  NO_SUCH_FILE: 2,
  PERMISSION_DENIED: 3,
  FAILURE: 4,
  OP_UNSUPPORTED: 8,
} as const;

/** The server's answer that an error stands for; undefined where it is something else. */
export function statusOf(error: unknown): number | undefined {
  if (!(error instanceof Error) || error instanceof WaldenError || !('code' in error)) return undefined;
  return typeof error.code === 'number' ? error.code : undefined;
}

/** NO_SUCH_FILE: there is nothing of this name, or a part of its path is no directory. */
export function isAbsent(error: unknown): boolean {
  return statusOf(error) === SftpStatus.NO_SUCH_FILE;
}

/**
 * From an answer of the server to the contract's codes, with what was attempted. What is absent is judged where it happens.
 */
export function sftpError(error: unknown, attempted: string, { user }: { readonly user: string }): WaldenError {
  // Of the connection, the disk or the root: it says nothing of the call that met it.
  if (isWaldenError(error, 'STORAGE_UNAVAILABLE', 'STORAGE_DENIED', 'STORAGE_FULL')) {
    return withContext(error, `unable to ${attempted}`);
  }
  if (error instanceof WaldenError) return error;
  const message = `unable to ${attempted} (${error instanceof Error ? error.message : String(error)})`;
  const status = statusOf(error);
  if (status === SftpStatus.PERMISSION_DENIED) {
    return new WaldenError('STORAGE_DENIED', message, {
      hint: `give ${user} the permission to read and write there, on the server`,
      cause: error,
    });
  }
  if (status === SftpStatus.OP_UNSUPPORTED) {
    return new WaldenError('STORAGE_UNAVAILABLE', message, {
      hint: 'the server cannot do what Walden needs: use OpenSSH, or another kind of repository',
      cause: error,
    });
  }
  return new WaldenError('STORAGE_UNAVAILABLE', message, { cause: error });
}

/** Whom a connection was meant for, as whom. */
export interface Login {
  readonly user: string;
  /** host:port */
  readonly server: string;
  /** Names of the ways that were tried. */
  readonly ways: readonly string[];
}

/** Why there is no connection. `level` of ssh2's errors says where they come from. */
export function connectError(error: unknown, { user, server, ways }: Login): WaldenError {
  if (error instanceof WaldenError) return error;
  const reason = systemErrorCode(error) ?? (error instanceof Error ? error.message : String(error));
  if (levelOf(error) === 'client-authentication') {
    return new WaldenError('STORAGE_DENIED', `${server} does not let ${user} in (tried: ${ways.join(', ')})`, {
      hint: `put the public key into ~${user}/.ssh/authorized_keys on the server, or correct the user, key or password`,
      cause: error,
    });
  }
  return new WaldenError('STORAGE_UNAVAILABLE', `unable to connect to ${server} (${reason})`, {
    hint: 'check host and port, that sshd runs there, and that no firewall is between',
    cause: error,
  });
}

function levelOf(error: unknown): unknown {
  return error instanceof Error && 'level' in error ? error.level : undefined;
}
