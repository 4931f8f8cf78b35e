import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { SftpDriver } from '../../storage-drivers/sftp/sftp-driver.ts';
import { PATIENCE, type SftpOptions } from '../../storage-drivers/sftp/sftp-options.ts';
import { isWaldenError, type WaldenError } from '../../src/errors.ts';
import { keysOf } from '../support/bodies.ts';
import { newDirectory, removeDirectory, watchProcess } from '../support/sandbox.ts';
import { PipedSftpServer, whyNoSftpServer } from '../support/stores/piped-sftp-server.ts';
import { until } from '../support/until.ts';

const missing = whyNoSftpServer();
const DENIED = 'STORAGE_DENIED';

describe.skipIf(missing !== undefined && process.env['CI'] === undefined)(`logging in to an SFTP server`, () => {
  let server: PipedSftpServer;
  let path: string;

  beforeEach(async () => {
    server = await PipedSftpServer.start();
    path = newDirectory('store');
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    await server.stop();
    removeDirectory(path);
  });

  /** Opens the repository for reading, asks it something, and closes it. */
  async function open(options: Partial<SftpOptions> = {}): Promise<void> {
    const driver = await SftpDriver.open({ ...server.options, path, ...options }, { access: 'read-only' });
    expect(await keysOf(driver)).toEqual([]);
    await driver.close();
  }

  /** What opening fails with. */
  async function refusal(options: Partial<SftpOptions>): Promise<WaldenError> {
    const error: unknown = await open(options).catch((error: unknown) => error);
    if (!isWaldenError(error)) throw new Error(`was not refused: ${String(error)}`);
    await until(() => server.connections === 0, { what: 'the end of the connection' });
    return error;
  }

  function knownHosts(text: string): Partial<SftpOptions> {
    return { knownHostsFile: server.keys.write('other_known_hosts', text) };
  }

  /** As ssh-keygen says it. */
  function fingerprint(key: string): string {
    return execFileSync('ssh-keygen', ['-lf', `${key}.pub`], { encoding: 'utf8' }).split(' ')[1]!;
  }

  describe('whose key', () => {
    it('is in known_hosts, works; hashed too', async () => {
      await open();
      const { knownHostsFile } = server.options;
      execFileSync('ssh-keygen', ['-q', '-H', '-f', knownHostsFile!], { stdio: 'ignore' });
      expect(readFileSync(knownHostsFile!, 'utf8')).toMatch(/^\|1\|/);
      await open();
    });

    it('nobody vouches for, is refused: the hint says how to get it, and how to compare it', async () => {
      const error = await refusal(knownHosts('# nothing\n'));
      expect(error.code).toBe(DENIED);
      expect(error.message).toContain(fingerprint(server.keys.host));
      expect(error.hint).toContain(`ssh-keyscan -p ${server.port} 127.0.0.1`);
      expect(error.hint).toContain('ssh-keygen -lf');
      expect((await refusal({ knownHostsFile: join(path, 'none') })).code).toBe(DENIED);
    });

    it('is another than known_hosts has, is refused', async () => {
      const other = server.keys.publicKey(server.keys.make('other', 'ed25519'));
      const error = await refusal(knownHosts(`[127.0.0.1]:${server.port} ${other}\n`));
      expect(error.code).toBe(DENIED);
      expect(error.message).toContain('another than known_hosts has');
      expect(error.hint).not.toContain('ssh-keyscan');
    });

    it('is revoked, is refused', async () => {
      const key = server.keys.publicKey(server.keys.host);
      const error = await refusal(knownHosts(`[127.0.0.1]:${server.port} ${key}\n@revoked * ${key}\n`));
      expect(error).toMatchObject({ code: DENIED });
      expect(error.message).toContain('revoked');
    });

    it('has the configured fingerprint, works without known_hosts; another is refused', async () => {
      const none = join(path, 'none');
      await open({ knownHostsFile: none, hostKey: fingerprint(server.keys.host) });
      const error = await refusal({ hostKey: fingerprint(server.keys.user) });
      expect(error.code).toBe(DENIED);
      expect(error.message).toContain(fingerprint(server.keys.user));
    });

    it('is asked for in the type that is known', async () => {
      const other = await PipedSftpServer.start({ hostKeys: ['ed25519', 'rsa'] });
      const rsa = other.keys.publicKey(join(other.keys.directory, 'host_rsa'));
      const knownHostsFile = other.keys.write('rsa_only', `[127.0.0.1]:${other.port} ${rsa}\n`);
      await open({ ...other.options, knownHostsFile });
      await other.stop();
    });
  });

  describe('as a user whose key', () => {
    it('is not the right one, is refused: it says what was tried', async () => {
      const error = await refusal({ keyFile: server.keys.make('other', 'ed25519') });
      expect(error.code).toBe(DENIED);
      expect(error.message).toContain('does not let walden in (tried: publickey)');
    });

    it('is encrypted, needs its passphrase', async () => {
      const keyFile = server.keys.make('locked', 'ed25519', 'open sesame');
      renameSync(`${keyFile}.pub`, `${server.keys.user}.pub`);
      const passphraseFile = server.keys.write('passphrase', 'open sesame\n');
      await open({ keyFile, passphraseFile });
      expect((await refusal({ keyFile })).hint).toContain('passphrase_file');
      const wrong = await refusal({ keyFile, passphraseFile: server.keys.write('wrong', 'open barley\n') });
      expect(wrong.code).toBe(DENIED);
      expect(JSON.stringify([wrong.message, wrong.hint, wrong.details])).not.toContain('barley');
    });

    it('others may read, is not used', async () => {
      chmodSync(server.keys.user, 0o644);
      const error = await refusal({});
      expect(error).toMatchObject({ code: DENIED });
      expect(error.message).toContain('others may read');
    });

    it('is not there, or is no key, is refused', async () => {
      expect((await refusal({ keyFile: join(path, 'none') })).message).toContain('ENOENT');
      const error = await refusal({ keyFile: server.keys.write('no_key', 'nonsense') });
      expect(error.code).toBe(DENIED);
    });

    it('an ssh-agent has, gets in', async () => {
      const socket = join(server.keys.directory, 'agent');
      const agent = spawn('ssh-agent', ['-D', '-a', socket], { stdio: 'ignore' });
      const unwatch = watchProcess(agent.pid!);
      const SSH_AUTH_SOCK = socket;
      const add = (): boolean => {
        try {
          execFileSync('ssh-add', ['-q', server.keys.user], {
            env: { ...process.env, SSH_AUTH_SOCK },
            stdio: 'ignore',
          });
          return true;
        } catch {
          return false;
        }
      };
      await until(add, { what: 'the agent' });
      vi.stubEnv('SSH_AUTH_SOCK', SSH_AUTH_SOCK);
      await open({ keyFile: undefined });
      agent.kill('SIGTERM');
      await until(() => agent.exitCode !== null || agent.signalCode !== null, { what: 'its end' });
      unwatch();
      expect((await refusal({ keyFile: undefined })).code).toBe(DENIED);
    });

    it('is where it usually is, gets in; without any it says so', async () => {
      vi.stubEnv('SSH_AUTH_SOCK', undefined);
      vi.stubEnv('HOME', server.keys.directory);
      mkdirSync(join(server.keys.directory, '.ssh'));
      expect((await refusal({ keyFile: undefined })).message).toContain('neither an ssh-agent nor a key');
      renameSync(server.keys.user, join(server.keys.directory, '.ssh/id_ed25519'));
      await open({ keyFile: undefined });
    });
  });

  it('works with a password, and a wrong one is refused without being told to anybody', async () => {
    const right = server.keys.write('right', `${PipedSftpServer.password}\n`);
    await open({ keyFile: undefined, passwordFile: right });
    const wrong = await refusal({ keyFile: undefined, passwordFile: server.keys.write('wrong', 'battery staple') });
    expect(wrong.code).toBe(DENIED);
    expect(JSON.stringify([wrong.message, wrong.hint, wrong.details])).not.toContain('staple');
  });

  it('is STORAGE_UNAVAILABLE where nobody listens', async () => {
    const other = await PipedSftpServer.start();
    const { port } = other;
    await other.stop();
    const error = await refusal({ port });
    expect(error.code).toBe('STORAGE_UNAVAILABLE');
    expect(error.message).toContain('ECONNREFUSED');
  });

  it('ends where somebody listens and never answers, and hangs up', async () => {
    let open = 0;
    const silent = createServer((socket) => {
      open += 1;
      socket.resume();
      socket.on('error', () => undefined);
      socket.once('close', () => (open -= 1));
    });
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const address = silent.address();
    const port = address !== null && typeof address === 'object' ? address.port : 0;
    const hostKey = fingerprint(server.keys.host);
    const patience = { ...PATIENCE, connectMs: 100 };
    const opening = SftpDriver.open({ ...server.options, path, port, hostKey }, { access: 'read-only', patience });
    await expect(opening).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
    await until(() => open === 0, { what: 'the end of the connection' });
    silent.close();
  });
});
