import { toWaldenError, WaldenError } from '../errors.ts';
import type { Catalog, ClusterName } from '../../catalog/catalog.ts';
import type { Repository } from './repository.ts';

/** One archive that is being read. */
export interface ArchiveRebuild {
  readonly repository: Repository;
  readonly cluster: ClusterName;
  readonly catalog: Catalog;
  readonly signal: AbortSignal;
  /** Told what was damaged and passed over, in words. */
  readonly note: (text: string) => void;
}

/** @throws the error itself unless it says that the object is damaged, missing or of a newer format. */
export function noteDamaged({ note, repository }: ArchiveRebuild, error: unknown): void {
  const { code, message } = toWaldenError(error);
  switch (code) {
    case 'FORMAT_INVALID':
    case 'FORMAT_TOO_NEW':
    case 'CHECKSUM_MISMATCH':
    case 'STORAGE_SIZE':
    // Retention may remove what was listed a moment ago.
    case 'STORAGE_OBJECT_MISSING':
      note(`repository ${repository.name}: ${message}`);
      return;
    default:
      throw error;
  }
}

/** @throws INTERRUPTED */
export function assertGoingOn(signal: AbortSignal): void {
  if (signal.aborted) throw new WaldenError('INTERRUPTED', 'the rebuild of the catalog was interrupted');
}
