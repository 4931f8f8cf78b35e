import http from 'node:http';
import { Storage } from '@google-cloud/storage';
import type { WaldenError } from '../../src/errors.ts';
import { withDeadline } from '../../src/platform/deadline.ts';
import { tokenAgent } from './gcs-agent.ts';
import { type Attempt, credentialsError, failure, interrupted } from './gcs-errors.ts';
import type { GcsConnection, GcsOptions } from './gcs-options.ts';

const REQUEST_MS = 20_000;
const TOKEN_MS = 30_000;

/**
 * Tokens of the SDK, which knows service accounts, workload identity, the metadata server and what `gcloud` left on this
 * host, and which keeps a token until shortly before it expires.
 */
export class GcsTokens {
  readonly #connection: GcsConnection;
  readonly #options: GcsOptions;
  #storage: Storage | undefined;

  constructor(options: GcsOptions, connection: GcsConnection) {
    this.#options = options;
    this.#connection = connection;
  }

  /** What a request has to carry. @throws STORAGE_DENIED, STORAGE_UNAVAILABLE, INTERRUPTED */
  async headers(attempt: Attempt): Promise<Readonly<Record<string, string>>> {
    if (!this.#connection.authenticated) return {};
    this.#storage ??= this.#open();
    try {
      const asking = this.#storage.authClient.getRequestHeaders();
      const late = (): WaldenError => failure('STORAGE_UNAVAILABLE', attempt, 'no token: no answer in time');
      return await untilAborted(withDeadline(asking, TOKEN_MS, late), attempt);
    } catch (error) {
      // It remembers that there was no metadata server, which may have been only late: the next attempt looks again.
      if (attempt.signal?.aborted !== true) this.forget();
      throw credentialsError(error, attempt);
    }
  }

  /** The store does not take the token, which was revoked perhaps: the next request brings a new one. */
  forget(): void {
    this.#storage = undefined;
  }

  #open(): Storage {
    const agent = tokenAgent(this.#connection);
    const { credentialsFile, project } = this.#options;
    return new Storage({
      ...(credentialsFile === undefined ? {} : { keyFilename: credentialsFile }),
      ...(project === undefined ? {} : { projectId: project }),
      clientOptions: {
        transporterOptions: {
          timeout: REQUEST_MS,
          // What is asked in the clear is on this host or beside it: a metadata server.
          agent: ({ protocol }: URL) => (protocol === 'https:' ? agent : http.globalAgent),
        },
      },
    });
  }
}

/** The request for a token goes on for those who also wait for it. */
async function untilAborted<Result>(work: Promise<Result>, attempt: Attempt): Promise<Result> {
  const { signal } = attempt;
  if (signal === undefined) return await work;
  return await new Promise<Result>((resolve, reject) => {
    const giveUp = (): void => {
      reject(interrupted(attempt));
    };
    if (signal.aborted) giveUp();
    signal.addEventListener('abort', giveUp, { once: true });
    work.then(resolve, reject).finally(() => {
      signal.removeEventListener('abort', giveUp);
    });
  });
}
