import { isWaldenError, WaldenError } from '../errors.ts';
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

/** Retention may remove what was listed a moment ago, so a missing object is passed over too. */
const DAMAGED = [
  'FORMAT_INVALID',
  'FORMAT_TOO_NEW',
  'CHECKSUM_MISMATCH',
  'STORAGE_SIZE',
  'STORAGE_OBJECT_MISSING',
] as const;

/** @throws the error itself unless it says that the object is damaged, missing or of a newer format. */
export function noteDamaged({ note, repository }: ArchiveRebuild, error: unknown): void {
  if (!isWaldenError(error, ...DAMAGED)) throw error;
  note(`repository ${repository.name}: ${error.message}`);
}

/** @throws INTERRUPTED */
export function assertGoingOn(signal: AbortSignal): void {
  if (signal.aborted) throw new WaldenError('INTERRUPTED', 'the rebuild of the catalog was interrupted');
}
