import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import type { SftpOptions } from '../../../storage-drivers/sftp/sftp-options.ts';
import { childrenOf, signalProcess } from '../processes.ts';
import { freePort } from '../free-port.ts';
import { watchProcess } from '../sandbox.ts';
import { until } from '../until.ts';
import { type RunningSftpServer, SftpKeys } from './sftp-keys.ts';

const SSHD = '/usr/sbin/sshd';

/** Debian's sshd, which lets in the user who runs it: some users it does not (no shell, a locked account). */
export class Sshd implements RunningSftpServer {
  readonly keys: SftpKeys;
  readonly options: Omit<SftpOptions, 'path'>;
  readonly #child: ChildProcess;
  readonly #unwatch: () => void;

  /** @param settings more lines of sshd_config */
  static async start(settings: readonly string[] = []): Promise<Sshd> {
    const keys = new SftpKeys();
    const port = await freePort();
    keys.write('authorized_keys', `${keys.publicKey(keys.user)}\n`);
    keys.write('known_hosts', `[127.0.0.1]:${port} ${keys.publicKey(keys.host)}\n`);
    const configuration = keys.write(
      'sshd_config',
      [
        'ListenAddress 127.0.0.1',
        `Port ${port}`,
        `HostKey ${keys.host}`,
        'PidFile none',
        `AuthorizedKeysFile ${join(keys.directory, 'authorized_keys')}`,
        'StrictModes no',
        'UsePAM no',
        'PasswordAuthentication no',
        'UseDNS no',
        'MaxStartups 100',
        'Subsystem sftp internal-sftp',
        ...settings,
        '',
      ].join('\n'),
    );
    const child = spawn(SSHD, ['-D', '-e', '-f', configuration], { stdio: 'ignore' });
    const sshd = new Sshd(keys, port, child);
    await until(() => canConnect(port), { what: 'sshd' });
    return sshd;
  }

  /** Why this user cannot log in to a sshd of its own; undefined where it can. */
  static async whyNot(): Promise<string | undefined> {
    if (!existsSync(SSHD)) return 'no sshd: apt-get install openssh-server';
    const sshd = await Sshd.start();
    const { keyFile = '', port = 0, knownHostsFile = '', user } = sshd.options;
    const words = [
      '-q',
      '-b',
      '/dev/null',
      '-i',
      keyFile,
      '-P',
      String(port),
      '-o',
      `UserKnownHostsFile=${knownHostsFile}`,
    ];
    const { status } = spawnSync('sftp', [...words, `${user}@127.0.0.1`], { timeout: 20_000, stdio: 'ignore' });
    await sshd.stop();
    return status === 0 ? undefined : `sshd does not let ${user} in: run the tests as a user with a shell`;
  }

  private constructor(keys: SftpKeys, port: number, child: ChildProcess) {
    this.keys = keys;
    this.#child = child;
    this.#unwatch = child.pid === undefined ? () => undefined : watchProcess(child.pid);
    this.options = {
      host: '127.0.0.1',
      port,
      user: userInfo().username,
      keyFile: keys.user,
      passphraseFile: undefined,
      passwordFile: undefined,
      knownHostsFile: join(keys.directory, 'known_hosts'),
      hostKey: undefined,
    };
  }

  /** Stops what serves the connections, as if the host were gone. */
  freeze(): void {
    for (const pid of this.#serving()) signalProcess(pid, 'SIGSTOP');
  }

  async stop(): Promise<void> {
    for (const pid of this.#serving()) signalProcess(pid, 'SIGKILL');
    this.#child.kill('SIGTERM');
    await until(() => this.#child.exitCode !== null || this.#child.signalCode !== null, {
      what: 'the end of sshd',
    });
    this.#unwatch();
    this.keys.remove();
  }

  /** One process for each connection, and what it started. */
  #serving(): readonly number[] {
    const below = (pid: number): readonly number[] => childrenOf(pid).flatMap((child) => [child, ...below(child)]);
    return this.#child.pid === undefined ? [] : below(this.#child.pid);
  }
}

async function canConnect(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => {
      resolve(false);
    });
  });
}
