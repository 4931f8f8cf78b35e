import type { Sha256Hex } from '../../storage-drivers/driver.ts';
import type { SharedText } from '../platform/shared-text.ts';
import { workerTask } from '../platform/worker-pool.ts';
import type { EncodedManifestEntries } from '../repository/manifest.ts';
import type { StoredObject } from '../repository/object-bytes.ts';

/** What goes to and comes from the workers that pack files; see pack-files-task.ts. */

export interface PackMember {
  readonly type: 'file' | 'directory' | 'tablespace';
  /** In the backup. */
  readonly path: string;
  /** To be read. */
  readonly source: string;
  /** For a tablespace. */
  readonly tablespace?: { readonly oid: number; readonly location: string };
  /** Instead of what the source has: for files that stand in for others. */
  readonly attributes?: FileAttributes;
}

/** Files whose paths stand in the plan of a survey. */
export interface PlannedFiles {
  readonly plan: string;
  readonly offset: number;
  /** Bytes. */
  readonly length: number;
  readonly dataDirectory: string;
}

export interface FileAttributes {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Microseconds since 1970. */
  readonly mtime: number;
}

export interface PageRules {
  /** Where the backup began: a page changed after it will be written again by recovery. */
  readonly startLsn: bigint;
  /** Blocks in one file of a relation (`segment_size`). */
  readonly segmentBlocks: number;
}

export interface PackFilesInput {
  /** The staged pack, extended at `offset`. */
  readonly pack: string;
  readonly packNumber: number;
  readonly offset: number;
  readonly compressionLevel: number;
  readonly members: readonly PackMember[] | PlannedFiles;
  /** Undefined when the cluster has no page checksums. */
  readonly pages: PageRules | undefined;
  /** For the text of the entries; whoever gives it uses it for one task at a time. */
  readonly room: SharedArrayBuffer;
  /** Two BigInt64: bytes read so far (added to), and not 0 when the work is to stop. */
  readonly control: SharedArrayBuffer;
}

/** A page whose checksum is wrong even after it was read several times. */
export interface BadPage {
  readonly path: string;
  /** In this file, from 0. */
  readonly block: number;
  /** Set when the page claims to be newer than the start of the backup: recovery replaces it, if that is true. */
  readonly lsn: bigint | undefined;
}

/** Beyond that a list of them helps nobody: the cluster is not damaged here and there, it is destroyed. */
export const MAX_BAD_PAGES = 1_000_000;

/** The entries of both manifests as text, made by the worker: the main thread has enough to do. */
export interface EncodedEntries {
  /** Lines of Walden's manifest. */
  readonly walden: Omit<EncodedManifestEntries, 'lines'> & { readonly lines: SharedText };
  /** Of the files, for PostgreSQL's; see backup-manifest-file.ts. */
  readonly postgres: SharedText;
  readonly files: number;
}

export interface PackFilesOutput {
  readonly entries: EncodedEntries;
  readonly badPages: readonly BadPage[];
  /** In words: what could not be packed. Files that vanished are none of it. */
  readonly notes: readonly string[];
  /** Where the pack ends now. */
  readonly offset: number;
  /** Of the pack as it will be if it is sealed next; undefined when only the whole file can tell. */
  readonly sealedSha256: Sha256Hex | undefined;
}

export interface SealPackInput {
  readonly pack: string;
  readonly offset: number;
  /** As the last task on the pack told. */
  readonly sealedSha256: Sha256Hex | undefined;
}

export const packFilesTask = workerTask<PackFilesInput, PackFilesOutput>('packFiles');
export const sealPackTask = workerTask<SealPackInput, StoredObject>('sealPack');

/** Index into `control`. */
export const DONE_BYTES = 0;
export const STOP = 1;

export function createPackControl(): BigInt64Array<SharedArrayBuffer> {
  return new BigInt64Array(new SharedArrayBuffer(2 * BigInt64Array.BYTES_PER_ELEMENT));
}
