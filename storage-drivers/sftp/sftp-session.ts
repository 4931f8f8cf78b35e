import type { SFTPWrapper } from 'ssh2';
import { isWaldenError, WaldenError } from '../../src/errors.ts';
import { withDeadline } from '../../src/platform/deadline.ts';
import { connect, type Connected } from './connect.ts';
import { RemoteFiles } from './remote-files.ts';
import { SftpChannel } from './sftp-channel.ts';
import type { SftpOptions, SftpPatience } from './sftp-options.ts';

/**
 * In each, the server does one thing after the other: while it makes one file durable, others go on elsewhere. OpenSSH
 * permits ten in one connection (MaxSessions).
 */
const CHANNELS = 4;

/** How long an orderly farewell may take. */
const FAREWELL_MS = 2_000;

/** One connection at a time, made when it is needed, and again after it was lost. */
export class SftpSession {
  readonly #options: SftpOptions;
  readonly #patience: SftpPatience;
  #connection: Connection | undefined;
  #isClosed = false;

  constructor(options: SftpOptions, patience: SftpPatience) {
    this.#options = options;
    this.#patience = patience;
  }

  async use<Result>(signal: AbortSignal | undefined, work: (files: RemoteFiles) => Promise<Result>): Promise<Result> {
    const files = await this.begin(signal);
    try {
      return await work(files);
    } finally {
      files.end();
    }
  }

  /** For calls that go on after they returned. @throws INTERRUPTED, and as `connect` */
  async begin(signal: AbortSignal | undefined): Promise<RemoteFiles> {
    if (this.#isClosed) throw new WaldenError('STORAGE_UNAVAILABLE', 'the repository was closed');
    if (this.#connection?.isLost !== false) this.#connection = new Connection(this.#options, this.#patience);
    const { channel, release } = await this.#connection.channel(signal);
    return new RemoteFiles(channel, { signal, tidyMs: this.#patience.tidyMs, release });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#connection?.close();
  }
}

interface Slot {
  readonly opening: Promise<SftpChannel>;
  channel: SftpChannel | undefined;
  users: number;
}

class Connection {
  readonly #patience: SftpPatience;
  readonly #giveUp = new AbortController();
  readonly #connecting: Promise<Connected>;
  #waiting = 0;
  #isLost = false;
  #isReady = false;
  #slots: Slot[] = [];
  /** Fewer where the server permits fewer. */
  #mostSlots = CHANNELS;

  constructor(options: SftpOptions, patience: SftpPatience) {
    this.#patience = patience;
    this.#connecting = connect(options, patience, this.#giveUp.signal);
    this.#connecting.then(
      ({ client }) => {
        this.#isReady = true;
        let reason = 'the server closed it';
        client.on('error', (error) => {
          reason = error.message;
        });
        client.on('close', () => {
          this.#lose(reason);
        });
      },
      () => {
        this.#isLost = true;
      },
    );
  }

  get isLost(): boolean {
    return this.#isLost;
  }

  async channel(
    signal: AbortSignal | undefined,
  ): Promise<{ readonly channel: SftpChannel; readonly release: () => void }> {
    this.#waiting += 1;
    try {
      await unlessAborted(this.#connecting, signal);
    } finally {
      this.#waiting -= 1;
      // Nobody is left who wants it.
      if (this.#waiting === 0 && !this.#isReady) this.#abandon();
    }
    const slot = this.#slot();
    slot.users += 1;
    try {
      const channel = await unlessAborted(slot.opening, signal);
      return { channel, release: () => (slot.users -= 1) };
    } catch (error) {
      slot.users -= 1;
      if (isWaldenError(error, 'INTERRUPTED') || this.#isLost || this.#slots.length === 0) throw error;
    }
    return await this.channel(signal);
  }

  async close(): Promise<void> {
    this.#abandon();
    const connected = await this.#connecting.catch(() => undefined);
    if (connected === undefined) return;
    const { client, socket } = connected;
    this.#lose('the repository was closed');
    if (socket.closed) return;
    const closed = new Promise<void>((resolve) => socket.once('close', resolve));
    client.end();
    await withDeadline(closed, FAREWELL_MS, () => new Error('late')).catch(() => socket.destroy());
  }

  /** An unused one, else a new one, else the one with the fewest users. */
  #slot(): Slot {
    this.#slots = this.#slots.filter(({ channel }) => channel?.isLost !== true);
    const [least] = this.#slots.toSorted((a, b) => a.users - b.users);
    if (least !== undefined && (least.users === 0 || this.#slots.length >= this.#mostSlots)) return least;
    const slot: Slot = { opening: this.#open(), channel: undefined, users: 0 };
    this.#slots.push(slot);
    slot.opening.then(
      (channel) => {
        slot.channel = channel;
      },
      () => {
        this.#slots = this.#slots.filter((other) => other !== slot);
        // It has no more to give.
        this.#mostSlots = Math.max(1, this.#slots.length);
      },
    );
    return slot;
  }

  async #open(): Promise<SftpChannel> {
    const { client } = await this.#connecting;
    const opening = new Promise<SFTPWrapper>((resolve, reject) => {
      client.sftp((error, sftp) => {
        if (error === undefined) resolve(sftp);
        else reject(error);
      });
    });
    const late = (): Error => new Error('it does not answer');
    const sftp = await withDeadline(opening, this.#patience.connectMs, late).catch((error: unknown) => {
      opening.then(
        (tooLate) => {
          tooLate.end();
        },
        () => undefined,
      );
      throw new WaldenError('STORAGE_UNAVAILABLE', `the server opens no SFTP session (${String(error)})`, {
        hint: 'check Subsystem sftp and MaxSessions in sshd_config, and that the user may use SFTP',
        cause: error,
      });
    });
    return new SftpChannel(sftp, this.#patience.answerMs);
  }

  #abandon(): void {
    this.#isLost = true;
    this.#giveUp.abort();
  }

  #lose(reason: string): void {
    this.#isLost = true;
    for (const { channel } of this.#slots) channel?.lose(reason);
  }
}

async function unlessAborted<Result>(work: Promise<Result>, signal: AbortSignal | undefined): Promise<Result> {
  if (signal === undefined) return await work;
  const interrupted = (): WaldenError => new WaldenError('INTERRUPTED', 'gave up to connect', { cause: signal.reason });
  if (signal.aborted) throw interrupted();
  let abort: (() => void) | undefined;
  try {
    return await Promise.race([
      work,
      new Promise<never>((_resolve, reject) => {
        abort = () => {
          reject(interrupted());
        };
        signal.addEventListener('abort', abort, { once: true });
      }),
    ]);
  } finally {
    if (abort !== undefined) signal.removeEventListener('abort', abort);
  }
}
