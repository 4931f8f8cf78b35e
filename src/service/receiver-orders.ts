import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ClusterName } from '../../catalog/catalog.ts';
import { localIoError, systemErrorCode, WaldenError } from '../errors.ts';
import { syncDirectory, syncFile } from '../platform/files.ts';
import { formatMicros, type Micros, parseMicros } from '../postgres/timestamp.ts';

/** What an operator has said of a receiver, over what the configuration says. */
export interface ReceiverOrders {
  /** It is not to run, since then. */
  readonly stoppedAt: Micros | undefined;
  /** Where it receives from, since when. Holds no password. */
  readonly follows: { readonly conninfo: string; readonly since: Micros } | undefined;
}

export const NO_ORDERS: ReceiverOrders = { stoppedAt: undefined, follows: undefined };

/**
 * The orders of one cluster, in the state directory: the configuration is the operator's own file, and the catalog is built
 * anew from the repositories, which know nothing of them.
 */
export class ReceiverOrderFile {
  readonly path: string;

  constructor(stateDirectory: string, cluster: ClusterName) {
    this.path = join(stateDirectory, 'receivers', `${cluster}.json`);
  }

  /** @throws FORMAT_INVALID when it was damaged: what was ordered is not to be guessed; LOCAL_IO */
  async read(): Promise<ReceiverOrders> {
    let text: string;
    try {
      text = await readFile(this.path, 'utf8');
    } catch (error) {
      if (systemErrorCode(error) === 'ENOENT') return NO_ORDERS;
      throw localIoError(error, `unable to read ${this.path}`);
    }
    try {
      return ordersOf(JSON.parse(text));
    } catch (cause) {
      throw new WaldenError('FORMAT_INVALID', `${this.path} does not say what was ordered of the receiver`, {
        hint: 'remove it: the receiver runs then as the configuration says; give the orders again',
        cause,
      });
    }
  }

  /** Durable when this resolves. @throws LOCAL_IO, STORAGE_FULL */
  async write({ stoppedAt, follows }: ReceiverOrders): Promise<void> {
    const document = {
      format: 1,
      ...(stoppedAt === undefined ? {} : { stoppedAt: formatMicros(stoppedAt) }),
      ...(follows === undefined ? {} : { follows: { ...follows, since: formatMicros(follows.since) } }),
    };
    const staged = `${this.path}.tmp`;
    try {
      await mkdir(dirname(this.path), { recursive: true, mode: 0o750 });
      await syncDirectory(dirname(dirname(this.path)));
      await writeFile(staged, `${JSON.stringify(document, null, 2)}\n`, { mode: 0o640 });
      await syncFile(staged);
      await rename(staged, this.path);
      await syncDirectory(dirname(this.path));
    } catch (error) {
      throw localIoError(error, `unable to write ${this.path}`);
    }
  }
}

/** @throws Error */
function ordersOf(json: unknown): ReceiverOrders {
  const { format, stoppedAt, follows } = (json ?? {}) as Readonly<Record<string, unknown>>;
  if (format !== 1) throw new Error('not of format 1');
  return {
    stoppedAt: stoppedAt === undefined ? undefined : momentOf(stoppedAt),
    follows: follows === undefined ? undefined : followsOf(follows),
  };
}

function followsOf(json: unknown): ReceiverOrders['follows'] {
  const { conninfo, since } = (json ?? {}) as Readonly<Record<string, unknown>>;
  if (typeof conninfo !== 'string') throw new Error('no conninfo');
  return { conninfo, since: momentOf(since) };
}

function momentOf(value: unknown): Micros {
  if (typeof value !== 'string') throw new Error('not a moment');
  return parseMicros(value);
}
