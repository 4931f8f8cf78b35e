import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createServer, type Server as NetServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import ssh2, { type AuthContext, type Connection, type ServerChannel } from 'ssh2';
import type { SftpOptions } from '../../../storage-drivers/sftp/sftp-options.ts';
import { watchProcess } from '../sandbox.ts';
import { until, within } from '../until.ts';
import { servePlainly } from './plain-sftp.ts';
import { type RunningSftpServer, SftpKeys } from './sftp-keys.ts';

/** Where distributions put it. */
const SFTP_SERVER = [
  '/usr/lib/openssh/sftp-server',
  '/usr/libexec/openssh/sftp-server',
  '/usr/lib/ssh/sftp-server',
  '/usr/libexec/sftp-server',
].find((path) => existsSync(path));

/** Why there is no SFTP server on this machine; undefined where there is one. */
export function whyNoSftpServer(): string | undefined {
  return SFTP_SERVER === undefined ? 'no sftp-server: apt-get install openssh-server' : undefined;
}

/** What one connection of a PipedSftpServer may transfer before it is cut. */
interface Fuse {
  readonly direction: 'up' | 'down';
  bytes: number;
}

/**
 * OpenSSH's own sftp-server behind a transport in this process: it needs no account to log in to, and its connections can be
 * cut in the middle.
 */
export class PipedSftpServer implements RunningSftpServer {
  static readonly password = 'correct horse';
  readonly keys = new SftpKeys();
  readonly #words: readonly string[];
  readonly #net: NetServer;
  readonly #sockets = new Set<Socket>();
  readonly #children = new Set<ChildProcess>();
  #fuse: Fuse | undefined;
  #isWithdrawn = false;
  /** What the request says whose answer is to be lost; '' once it was sent. */
  #losing: string | undefined;
  /** SFTP sessions that were begun. */
  sessions = 0;
  /** Sessions that one connection may have. */
  mostSessions = Infinity;
  /** Without any of OpenSSH's additions to the protocol. */
  isPlain = false;
  /** Requests that it refuses, in the protocol's words. */
  refused: readonly string[] = [];
  /** What sftp-server says that it does, line by line. */
  readonly log: string[] = [];

  /** @param words before the program, such as those that give it disks of its own */
  static async start({
    words = [],
    hostKeys = ['ed25519'],
  }: {
    readonly words?: readonly string[];
    readonly hostKeys?: readonly ('ed25519' | 'rsa')[];
  } = {}): Promise<PipedSftpServer> {
    const server = new PipedSftpServer(words, hostKeys);
    await new Promise<void>((resolve, reject) => {
      server.#net.once('error', reject).listen(0, '127.0.0.1', resolve);
    });
    server.keys.write('known_hosts', `[127.0.0.1]:${server.port} ${server.keys.publicKey(server.keys.host)}\n`);
    return server;
  }

  private constructor(words: readonly string[], hostKeys: readonly ('ed25519' | 'rsa')[]) {
    this.#words = words;
    const paths = hostKeys.map((type) => (type === 'ed25519' ? this.keys.host : this.keys.make(`host_${type}`, type)));
    const ssh = new ssh2.Server({ hostKeys: paths.map((path) => readFileSync(path)) }, (connection) => {
      this.#serve(connection);
    });
    this.#net = createServer({ noDelay: true }, (socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
      ssh.injectSocket(socket);
    });
  }

  get port(): number {
    const address = this.#net.address();
    if (address === null || typeof address === 'string') throw new Error('the server does not listen');
    return address.port;
  }

  get options(): Omit<SftpOptions, 'path'> {
    return {
      host: '127.0.0.1',
      port: this.port,
      user: 'walden',
      keyFile: this.keys.user,
      passphraseFile: undefined,
      passwordFile: undefined,
      knownHostsFile: join(this.keys.directory, 'known_hosts'),
      hostKey: undefined,
    };
  }

  /** Open connections. */
  get connections(): number {
    return this.#sockets.size;
  }

  /** Processes that serve sessions. */
  get processes(): readonly number[] {
    return [...this.#children].flatMap(({ pid }) => (pid === undefined ? [] : [pid]));
  }

  /** The user's key is none of those that may log in, until the result is called. */
  withdrawKey(): () => void {
    this.#isWithdrawn = true;
    return () => {
      this.#isWithdrawn = false;
    };
  }

  /** Cuts every connection when the answer to the next request comes that names this. */
  loseAnswerTo(request: string): void {
    this.#losing = request;
  }

  /** Cuts every connection. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /** Cuts every connection when the client has sent (up) or got (down) so many bytes from now on. */
  cutAfter(bytes: number, direction: Fuse['direction']): void {
    this.#fuse = { direction, bytes };
  }

  /** Whether the connections were cut, as they were to be. */
  get wasCut(): boolean {
    return this.#fuse === undefined;
  }

  async stop(): Promise<void> {
    this.cut();
    for (const child of this.#children) child.kill('SIGKILL');
    await within(
      new Promise<void>((resolve) => {
        this.#net.close(() => {
          resolve();
        });
      }),
      10_000,
      'stopping the SFTP server',
    );
    await until(() => this.#children.size === 0, { what: 'the end of sftp-server' });
    this.keys.remove();
  }

  #serve(connection: Connection): void {
    let sessions = 0;
    connection.on('error', () => undefined);
    connection.on('authentication', (context: AuthContext) => {
      if (this.#isRight(context)) context.accept();
      else context.reject(['publickey', 'password']);
    });
    connection.on('session', (accept, reject) => {
      sessions += 1;
      if (sessions > this.mostSessions) {
        sessions -= 1;
        reject();
        return;
      }
      const session = accept();
      if (this.isPlain) {
        session.on('sftp', (acceptSftp) => {
          servePlainly(acceptSftp());
        });
      } else {
        session.on('subsystem', (acceptSubsystem) => {
          this.#pipe(acceptSubsystem());
        });
      }
    });
  }

  #isRight(context: AuthContext): boolean {
    if (context.username !== 'walden' || this.#isWithdrawn) return false;
    if (context.method === 'password') return context.password === PipedSftpServer.password;
    if (context.method !== 'publickey') return false;
    const known = ssh2.utils.parseKey(readFileSync(`${this.keys.user}.pub`));
    if (known instanceof Error || !known.getPublicSSH().equals(context.key.data)) return false;
    // Without a signature the client only asks whether the key would do.
    if (context.signature === undefined || context.blob === undefined) return true;
    return known.verify(context.blob, context.signature);
  }

  #pipe(channel: ServerChannel): void {
    this.sessions += 1;
    const [program, ...words] = [...this.#words, SFTP_SERVER ?? ''] as const;
    const refused = this.refused.length === 0 ? [] : ['-P', this.refused.join(',')];
    const child = spawn(program, [...words, '-e', '-l', 'DEBUG1', ...refused], { stdio: 'pipe' });
    createInterface(child.stderr).on('line', (line) => this.log.push(line));
    this.#children.add(child);
    const unwatch = child.pid === undefined ? () => undefined : watchProcess(child.pid);
    child.once('close', () => {
      this.#children.delete(child);
      unwatch();
      channel.end();
    });
    child.stdin.on('error', () => undefined);
    channel.on('data', (chunk: Buffer) => {
      this.#burn('up', chunk.length);
      if (this.#losing !== undefined && this.#losing !== '' && chunk.includes(this.#losing)) this.#losing = '';
    });
    child.stdout.on('data', (chunk: Buffer) => {
      this.#burn('down', chunk.length);
      if (this.#losing !== '') return;
      this.#losing = undefined;
      this.cut();
    });
    channel.pipe(child.stdin);
    child.stdout.pipe(channel);
    // It may be stopped, or be writing what nobody reads any more.
    channel.once('close', () => child.kill('SIGKILL'));
  }

  #burn(direction: Fuse['direction'], bytes: number): void {
    const fuse = this.#fuse;
    if (fuse?.direction !== direction) return;
    fuse.bytes -= bytes;
    if (fuse.bytes > 0) return;
    this.#fuse = undefined;
    this.cut();
  }
}
