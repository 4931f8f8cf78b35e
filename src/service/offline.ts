import type { Config } from '../config/config.ts';
import type {
  BackupDocument,
  BackupFileDocument,
  BackupListDocument,
  CloneRequest,
  PlanDocument,
  RestoreRequest,
} from './api.ts';
import type { JobControls } from './jobs.ts';

/**
 * What a repository alone can answer and do, for the day when there is no service: a catalog is loaded from it into
 * memory. Errors and documents are those of the API.
 */
export interface OfflineWalden {
  list(cluster: string): Promise<BackupListDocument>;
  /** `id` may be `latest`. */
  show(cluster: string, id: string): Promise<BackupDocument>;
  files(cluster: string, id: string): AsyncIterable<BackupFileDocument>;
  plan(cluster: string, request: RestoreRequest): Promise<PlanDocument>;
  restore(cluster: string, request: RestoreRequest, controls: JobControls): Promise<unknown>;
  /** The primary is, unless the request says it, that of the configuration, where one names the repository. */
  clone(cluster: string, request: CloneRequest, controls: JobControls): Promise<unknown>;
  /** `absent` only when proven. The file appears whole under `targetPath` or not at all. */
  fetchWal(cluster: string, name: string, targetPath: string): Promise<'restored' | 'absent'>;
  close(): Promise<void>;
}

/**
 * A directory, with the files of the keys that open it if it is encrypted; or a repository of a configuration, `asOf`: as it
 * was at a moment, in an operator's words.
 */
export type OfflineSource =
  | { readonly path: string; readonly keyFiles: readonly string[] }
  | { readonly config: Config; readonly name: string; readonly asOf: string | undefined };

export interface OfflineOptions {
  readonly source: OfflineSource;
  /** Worker threads; default: the cores. */
  readonly workers?: number | undefined;
  /** Hears of damaged objects, which are passed over, and of what was assumed. */
  readonly note: (text: string) => void;
}
