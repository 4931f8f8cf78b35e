import type { BackupDocument, BackupFileDocument, BackupListDocument, PlanDocument, RestoreRequest } from './api.ts';
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
  /** `absent` only when proven. The file appears whole under `targetPath` or not at all. */
  fetchWal(cluster: string, name: string, targetPath: string): Promise<'restored' | 'absent'>;
  close(): Promise<void>;
}

export interface OfflineOptions {
  readonly repositoryPath: string;
  /** Worker threads; default: the cores. */
  readonly workers?: number | undefined;
  /** Hears of damaged objects, which are passed over. */
  readonly note: (text: string) => void;
}
