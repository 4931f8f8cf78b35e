import { describe, expect, it } from 'vitest';
import { WaldenError } from '../../../../src/errors.ts';
import { connectError, isAbsent, sftpError } from '../../../../storage-drivers/sftp/sftp-errors.ts';

/** As ssh2 gives what the server answered. */
function answer(code: number, message: string): Error {
  return Object.assign(new Error(message), { code });
}

/** As ssh2 gives what happened to a connection. */
function failure(level: string, message: string, code?: string): Error {
  return Object.assign(new Error(message), { level }, code === undefined ? {} : { code });
}

const LOGIN = { user: 'walden', server: 'backup:22', ways: ['publickey', 'password'] };

describe('an answer of an SFTP server', () => {
  it.each([
    [2, 'No such file', 'STORAGE_UNAVAILABLE'],
    [3, 'Permission denied', 'STORAGE_DENIED'],
    [4, 'Failure', 'STORAGE_UNAVAILABLE'],
    [5, 'Bad message', 'STORAGE_UNAVAILABLE'],
    [7, 'Connection lost', 'STORAGE_UNAVAILABLE'],
    [8, 'Operation unsupported', 'STORAGE_UNAVAILABLE'],
    [11, 'File already exists', 'STORAGE_UNAVAILABLE'],
  ])('of %i (%s) is %s, with what was attempted', (status, text, code) => {
    const error = sftpError(answer(status, text), 'store a/b in /repo', LOGIN);
    expect(error).toMatchObject({ code, message: `unable to store a/b in /repo (${text})` });
  });

  it('names the user who lacks a permission', () => {
    expect(sftpError(answer(3, 'Permission denied'), 'store a', LOGIN).hint).toContain('walden');
  });

  it('stays what it was found to be; what says nothing of the call gets it before', () => {
    const full = new WaldenError('STORAGE_FULL', 'there is room for 0 bytes', { hint: 'buy a disk' });
    expect(sftpError(full, 'store a', LOGIN)).toMatchObject({
      code: 'STORAGE_FULL',
      message: 'unable to store a: there is room for 0 bytes',
      hint: 'buy a disk',
    });
    const missing = new WaldenError('STORAGE_OBJECT_MISSING', 'there is no a');
    expect(sftpError(missing, 'read a', LOGIN)).toBe(missing);
  });

  it('says that something is absent only with its own status', () => {
    expect(isAbsent(answer(2, 'No such file'))).toBe(true);
    expect(isAbsent(answer(4, 'No such file'))).toBe(false);
    expect(isAbsent(failure('client-socket', 'No such file', 'ENOENT'))).toBe(false);
    expect(isAbsent(new WaldenError('STORAGE_UNAVAILABLE', 'lost'))).toBe(false);
  });
});

describe('a connection that is not made', () => {
  it.each([
    ['client-socket', 'connect ECONNREFUSED 192.0.2.7:22', 'ECONNREFUSED'],
    ['client-socket', 'getaddrinfo ENOTFOUND backup', 'ENOTFOUND'],
    ['client-socket', 'read ECONNRESET', 'ECONNRESET'],
  ])('for a reason of %s (%s) is STORAGE_UNAVAILABLE with its code', (level, text, code) => {
    const error = connectError(failure(level, text, code), LOGIN);
    expect(error).toMatchObject({ code: 'STORAGE_UNAVAILABLE', message: `unable to connect to backup:22 (${code})` });
  });

  it.each([
    ['client-timeout', 'Timed out while waiting for handshake'],
    ['protocol', 'Connection lost before handshake'],
    ['handshake', 'Handshake failed: no matching key exchange algorithm'],
  ])('for a reason of %s (%s) is STORAGE_UNAVAILABLE', (level, text) => {
    const error = connectError(failure(level, text), LOGIN);
    expect(error).toMatchObject({ code: 'STORAGE_UNAVAILABLE', message: `unable to connect to backup:22 (${text})` });
  });

  it('since the user may not log in is STORAGE_DENIED, with what was tried', () => {
    const error = connectError(failure('client-authentication', 'All configured authentication methods failed'), LOGIN);
    expect(error).toMatchObject({
      code: 'STORAGE_DENIED',
      message: 'backup:22 does not let walden in (tried: publickey, password)',
    });
  });
});
