import type { SFTPWrapper } from 'ssh2';
import { WaldenError } from '../../src/errors.ts';
import { SftpStatus, statusOf } from './sftp-errors.ts';

export type Answer<Result> = (error: Error | null | undefined, result: Result) => void;

/** What every server takes, of data in one request. */
const SAFE_BYTES = 32 * 1024;
/** What is worth sending in one request. */
const LARGEST_BYTES = 256 * 1024;

/**
 * One SFTP conversation with the server, which answers one request after the other. Each request gets an answer or an
 * error: when the connection ends, and when the server says nothing for `answerMs` while answers are due.
 */
export class SftpChannel {
  /** Of data that go into one request. */
  readonly readBytes: number;
  readonly writeBytes: number;
  readonly #sftp: SFTPWrapper;
  readonly #answerMs: number;
  readonly #due = new Set<(error: Error) => void>();
  #silence: NodeJS.Timeout | undefined;
  #lost: WaldenError | undefined;

  constructor(sftp: SFTPWrapper, answerMs: number) {
    this.#sftp = sftp;
    this.#answerMs = answerMs;
    this.readBytes = limitOf(sftp, '_maxReadLen');
    this.writeBytes = limitOf(sftp, '_maxWriteLen');
    sftp.on('error', (error: Error) => {
      this.lose(error.message);
    });
    for (const end of ['end', 'close']) {
      sftp.on(end, () => {
        this.lose('the server ended the SFTP session');
      });
    }
  }

  get isLost(): boolean {
    return this.#lost !== undefined;
  }

  /**
   * Sends one request. What the server refuses is thrown as ssh2 says it, with its status.
   * @throws STORAGE_UNAVAILABLE when no answer will come
   */
  async request<Result>(send: (sftp: SFTPWrapper, answer: Answer<Result>) => void): Promise<Result> {
    if (this.#lost !== undefined) throw this.#lost;
    return await new Promise((resolve, reject) => {
      this.#due.add(reject);
      this.#silence ??= setTimeout(() => {
        this.lose(`the server has not answered for ${this.#answerMs / 1000} s`);
      }, this.#answerMs);
      const answer: Answer<Result> = (error, result) => {
        this.#answered(reject);
        if (error === undefined || error === null) resolve(result);
        else reject(statusOf(error) === undefined ? unavailable(error.message) : error);
      };
      try {
        send(this.#sftp, answer);
      } catch (error) {
        // ssh2 knows what the server cannot do, and does not ask it.
        this.#answered(reject);
        reject(Object.assign(new Error(String(error)), { code: SftpStatus.OP_UNSUPPORTED }));
      }
    });
  }

  /** Ends the conversation, also on the server; what is under way fails. */
  lose(reason: string): void {
    if (this.#lost !== undefined) return;
    const lost = unavailable(reason);
    this.#lost = lost;
    clearTimeout(this.#silence);
    for (const reject of this.#due) reject(lost);
    this.#due.clear();
    this.#sftp.end();
  }

  #answered(reject: (error: Error) => void): void {
    this.#due.delete(reject);
    if (this.#due.size > 0) {
      this.#silence?.refresh();
    } else {
      clearTimeout(this.#silence);
      this.#silence = undefined;
    }
  }
}

function unavailable(reason: string): WaldenError {
  return new WaldenError('STORAGE_UNAVAILABLE', `lost the connection: ${reason}`);
}

/** ssh2 asks the server at the beginning, and splits what is larger into requests that wait for one another. */
function limitOf(sftp: SFTPWrapper, name: '_maxReadLen' | '_maxWriteLen'): number {
  const bytes: unknown = Reflect.get(sftp, name);
  return typeof bytes === 'number' && bytes > 0 ? Math.min(bytes, LARGEST_BYTES) : SAFE_BYTES;
}
