import type { Sha256Hex } from '../../../storage-drivers/driver.ts';
import { workerTask } from '../../platform/worker-pool.ts';
import type { IncrementHead } from '../../postgres/incremental-file.ts';
import type { Micros } from '../../postgres/timestamp.ts';
import type { BadPage, EncodedEntries, PageRules } from '../pack-input.ts';

/**
 * The unit in which bytes go from the thread that reads from the server to the workers: a room of shared memory with tar
 * stream that is whole in itself, either small files, each to be a frame of its own, or one frame of a large file.
 */

/** Of a room. The most that one frame holds. */
export const ROOM_BYTES = 4 * 1024 * 1024;
/** Kept free in a large file's first frame for its tar header; a whole page, so that every frame holds whole pages. */
export const HEADER_ROOM_BYTES = 8192;

/** One frame of a unit of small files. */
export type UnitMember = UnitFile | UnitDirectory;

export interface UnitFile {
  readonly type: 'file';
  readonly path: string;
  readonly size: number;
  readonly mode: number;
  readonly mtime: Micros;
  readonly sha256: Sha256Hex;
  /** Of a file of an incremental backup that is one. */
  readonly increment?: IncrementHead;
  /** Bytes of tar header before the file's own. */
  readonly skip: number;
  /** Of tar stream, header and padding too. */
  readonly bytes: number;
}

export interface UnitDirectory {
  readonly type: 'directory';
  readonly path: string;
  readonly mode: number;
  /** Where a tablespace stands on the server. */
  readonly tablespace?: { readonly oid: number; readonly location: string };
  readonly bytes: number;
}

/** A large file, known when all of it has come. */
export type LargeFile = Omit<UnitFile, 'type' | 'bytes' | 'skip'>;

/** One frame of a large file. */
export interface UnitPart {
  readonly path: string;
  /** Where it begins in the file. */
  readonly offset: number;
  /** As UnitFile; 0 but in the first one. */
  readonly skip: number;
  /** As UnitFile. */
  readonly bytes: number;
  /** Of an increment: the numbers of the blocks in this part; they stand at its end. */
  readonly blocks?: readonly number[];
  /** Set in the last one. */
  readonly end: LargeFile | undefined;
}

/** What stands in a room, as JSON in its text. */
export interface UnitContents {
  /** One behind the other. */
  readonly members: readonly UnitMember[];
  /** If it is one: then there are no members. */
  readonly part: UnitPart | undefined;
}

/** A room that was filled. */
export interface FilledUnit {
  /** Its number. */
  readonly room: number;
  /** Of its UnitContents. */
  readonly textBytes: number;
  /** As in them. */
  readonly part: UnitPart | undefined;
}

export interface UnitRoom {
  readonly bytes: SharedArrayBuffer;
  /** For the contents, and then for the text of the entries. */
  readonly text: SharedArrayBuffer;
}

/** The same for all tasks of a backup: each takes the next unit of the board. */
export interface PackUnitInput {
  readonly rooms: readonly UnitRoom[];
  /** See board.ts. */
  readonly board: SharedArrayBuffer;
  /** See turn.ts. */
  readonly turn: SharedArrayBuffer;
  /** For the staged packs. */
  readonly directory: string;
  /** A unit of which a file begins goes into a new pack when the last one has grown beyond this. */
  readonly packBytes: number;
  readonly compressionLevel: number;
  readonly pages: PageRules | undefined;
  /** See PackFilesInput. */
  readonly control: SharedArrayBuffer;
}

export interface PackUnitOutput {
  /** Which unit it was, from 0. */
  readonly number: number;
  readonly pack: number;
  readonly offset: number;
  readonly storedBytes: number;
  /** Of small files. */
  readonly entries: EncodedEntries;
  readonly badPages: readonly BadPage[];
}

export const packUnitTask = workerTask<PackUnitInput, PackUnitOutput>('packUnit');
