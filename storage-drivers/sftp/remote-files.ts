import type { FileEntryWithStats, Stats } from 'ssh2';
import { WaldenError } from '../../src/errors.ts';
import { copyBytes } from '../../src/platform/copy-bytes.ts';
import { withDeadline } from '../../src/platform/deadline.ts';
import { isAbsent } from './sftp-errors.ts';
import type { SftpChannel } from './sftp-channel.ts';

const FILE_MODE = 0o640;
const DIRECTORY_MODE = 0o750;

/** For one request at a time. */
let scratch: Buffer | undefined;

const NO_ANSWER = 'the server does not answer';

/** The server's name of an open file. */
export type Handle = Buffer;

/** What is left of a server's file system, in bytes and files; undefined where it does not count files. */
export interface Room {
  readonly bytes: number;
  readonly files: number | undefined;
  readonly readOnly: boolean;
}

/** How one call is bound to its caller. */
export interface Binding {
  readonly signal: AbortSignal | undefined;
  readonly tidyMs: number;
  /** Gives the channel back. */
  readonly release: () => void;
}

/**
 * Files of the server as one call of the driver sees them: its signal ends every wait at once with INTERRUPTED. `end` must
 * be called.
 */
export class RemoteFiles {
  readonly #channel: SftpChannel;
  readonly #binding: Binding;
  readonly #waiting = new Set<(error: Error) => void>();
  #unanswered = 0;
  readonly #abort = (): void => {
    for (const reject of this.#waiting) reject(this.#interrupted());
    this.#waiting.clear();
    // A request cannot be taken back: if the server does not get it done soon, it is left alone.
    setTimeout(() => {
      if (this.#unanswered > 0) this.#channel.lose(NO_ANSWER);
    }, this.#binding.tidyMs).unref();
  };

  constructor(channel: SftpChannel, binding: Binding) {
    this.#channel = channel;
    this.#binding = binding;
    binding.signal?.addEventListener('abort', this.#abort, { once: true });
  }

  get signal(): AbortSignal | undefined {
    return this.#binding.signal;
  }

  get readBytes(): number {
    return this.#channel.readBytes;
  }

  get writeBytes(): number {
    return this.#channel.writeBytes;
  }

  end(): void {
    this.#binding.signal?.removeEventListener('abort', this.#abort);
    this.#binding.release();
  }

  /**
   * Work that is done also after the signal, to leave nothing behind. If the server does not get it done soon, the channel is
   * closed, and with it all that it had open there.
   */
  async tidy(work: (files: RemoteFiles) => Promise<void>): Promise<void> {
    const { tidyMs } = this.#binding;
    const unbound = new RemoteFiles(this.#channel, { signal: undefined, tidyMs, release: () => undefined });
    const late = (): Error => {
      this.#channel.lose(NO_ANSWER);
      return new WaldenError('STORAGE_UNAVAILABLE', NO_ANSWER);
    };
    await (this.#binding.signal?.aborted === true ? withDeadline(work(unbound), tidyMs, late) : work(unbound));
  }

  /** `write`: a new file. A directory can be opened for reading, to be synced. */
  async open(path: string, mode: 'read' | 'write'): Promise<Handle> {
    this.#assertNotAborted();
    const opening = this.#channel.request<Handle>((sftp, answer) => {
      sftp.open(path, mode === 'read' ? 'r' : 'wx', mode === 'read' ? {} : { mode: FILE_MODE }, answer);
    });
    try {
      return await this.#unlessAborted(opening);
    } catch (error) {
      // What opens too late is closed.
      opening.then((handle) => this.close(handle)).catch(() => undefined);
      throw error;
    }
  }

  /** Also after the signal: a handle that stays open costs the server one of few. */
  async close(handle: Handle): Promise<void> {
    await this.#channel.request<undefined>((sftp, answer) => {
      sftp.close(handle, (error) => {
        answer(error, undefined);
      });
    });
  }

  /**
   * Fills `room`, of `readBytes` at most, from there on. After a failure it may still be written to.
   * @returns how much of it; less than all only where the file ends
   */
  async read(handle: Handle, offset: number, room: Buffer): Promise<number> {
    let filled = 0;
    while (filled < room.length) {
      const count = await this.#ask<number>((sftp, answer) => {
        sftp.read(handle, room, filled, room.length - filled, offset + filled, answer);
      });
      if (count === 0) break;
      filled += count;
    }
    return filled;
  }

  /** At most `writeBytes`. */
  async write(handle: Handle, bytes: Buffer, offset: number): Promise<void> {
    await this.#do((sftp, answer) => {
      // One that takes several requests would be read again later, when others have used the scratch.
      const own = bytes.length <= this.writeBytes ? outOfSharedMemory(bytes) : bytes;
      sftp.write(handle, own, 0, own.length, offset, answer);
    });
  }

  async sync(handle: Handle): Promise<void> {
    await this.#do((sftp, answer) => {
      sftp.ext_openssh_fsync(handle, answer);
    });
  }

  async statOpen(handle: Handle): Promise<Stats> {
    return await this.#ask<Stats>((sftp, answer) => {
      sftp.fstat(handle, answer);
    });
  }

  /** Of a link: itself. */
  async stat(path: string): Promise<Stats> {
    return await this.#ask<Stats>((sftp, answer) => {
      sftp.lstat(path, answer);
    });
  }

  async exists(path: string): Promise<boolean> {
    return (await this.statIfThere(path)) !== undefined;
  }

  async statIfThere(path: string): Promise<Stats | undefined> {
    try {
      return await this.stat(path);
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw error;
    }
  }

  /** Whether there is a directory, also behind a link. */
  async isDirectory(path: string): Promise<boolean> {
    try {
      const found = await this.#ask<Stats>((sftp, answer) => {
        sftp.stat(path, answer);
      });
      return found.isDirectory();
    } catch (error) {
      if (isAbsent(error)) return false;
      throw error;
    }
  }

  async readDirectory(path: string): Promise<readonly FileEntryWithStats[]> {
    return await this.#ask<readonly FileEntryWithStats[]>((sftp, answer) => {
      sftp.readdir(path, answer);
    });
  }

  async makeDirectory(path: string): Promise<void> {
    await this.#do((sftp, answer) => {
      sftp.mkdir(path, { mode: DIRECTORY_MODE }, answer);
    });
  }

  /** A second name, which must be free. */
  async link(path: string, target: string): Promise<void> {
    await this.#do((sftp, answer) => {
      sftp.ext_openssh_hardlink(path, target, answer);
    });
  }

  /** The target must be free, says version 3 of the protocol; not every server heeds it. */
  async rename(path: string, target: string): Promise<void> {
    await this.#do((sftp, answer) => {
      sftp.rename(path, target, answer);
    });
  }

  /** In one step, whatever the target was. */
  async replace(path: string, target: string): Promise<void> {
    await this.#do((sftp, answer) => {
      sftp.ext_openssh_rename(path, target, answer);
    });
  }

  /** Idempotent. */
  async remove(path: string): Promise<void> {
    try {
      await this.#do((sftp, answer) => {
        sftp.unlink(path, answer);
      });
    } catch (error) {
      if (!isAbsent(error)) throw error;
    }
  }

  async room(path: string): Promise<Room> {
    const found = await this.#ask<FileSystem>((sftp, answer) => {
      sftp.ext_openssh_statvfs(path, answer);
    });
    return {
      bytes: found.f_bavail * found.f_frsize,
      // Some file systems make room for files as they need it, and count none.
      files: found.f_files === 0 ? undefined : found.f_favail,
      readOnly: (found.f_flag & READ_ONLY) !== 0,
    };
  }

  async #do(send: (sftp: Sftp, answer: (error?: Error | null) => void) => void): Promise<void> {
    await this.#ask<undefined>((sftp, answer) => {
      send(sftp, (error) => {
        answer(error, undefined);
      });
    });
  }

  async #ask<Result>(send: Parameters<typeof SftpChannel.prototype.request<Result>>[0]): Promise<Result> {
    this.#assertNotAborted();
    return await this.#unlessAborted(this.#channel.request(send));
  }

  async #unlessAborted<Result>(answer: Promise<Result>): Promise<Result> {
    this.#unanswered += 1;
    return await new Promise((resolve, reject) => {
      this.#waiting.add(reject);
      void answer.then(resolve, reject).finally(() => {
        this.#waiting.delete(reject);
        this.#unanswered -= 1;
      });
    });
  }

  #assertNotAborted(): void {
    if (this.#binding.signal?.aborted === true) throw this.#interrupted();
  }

  #interrupted(): WaldenError {
    return new WaldenError('INTERRUPTED', 'gave up to wait for the server', { cause: this.#binding.signal?.reason });
  }
}

type Sftp = Parameters<Parameters<SftpChannel['request']>[0]>[0];

/** Of statvfs(3), as ssh2 gives it. */
interface FileSystem {
  readonly f_frsize: number;
  readonly f_bavail: number;
  readonly f_files: number;
  readonly f_favail: number;
  readonly f_flag: number;
}

/** SSH_FXE_STATVFS_ST_RDONLY of OpenSSH's PROTOCOL. */
const READ_ONLY = 1;

/** ssh2 copies what it is to send at once, but out of shared memory slowly (see copyBytes). Good until the next call. */
function outOfSharedMemory(bytes: Buffer): Buffer {
  if (!(bytes.buffer instanceof SharedArrayBuffer)) return bytes;
  if (scratch === undefined || scratch.length < bytes.length) scratch = Buffer.allocUnsafeSlow(bytes.length);
  copyBytes(bytes, scratch, 0);
  return scratch.subarray(0, bytes.length);
}
