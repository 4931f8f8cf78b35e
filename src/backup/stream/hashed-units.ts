import { toWaldenError, WaldenError } from '../../errors.ts';
import { shareTexts } from '../../platform/shared-text.ts';
import type { UnitHasher } from './hash-thread.ts';
import type { ReceivedFiles } from './received-files.ts';
import type { EmptyRoom } from './room-queue.ts';
import { listedChecksum, type ListedFile } from './server-manifest.ts';
import type { FilledUnit, LargeFile, UnitContents, UnitDirectory, UnitFile, UnitPart } from './unit.ts';
import type { FileDigest, HashRange } from './unit-hash.ts';

/** A unit as it was filled: its files have no hashes yet. */
export interface DraftUnit {
  readonly room: EmptyRoom;
  readonly members: readonly (Omit<UnitFile, 'sha256'> | UnitDirectory)[];
  readonly part: DraftPart | undefined;
  readonly ranges: readonly HashRange[];
  /** What has come since the unit before, in its order: without a checksum those that end in this one. */
  readonly received: readonly (ListedFile | Omit<ListedFile, 'checksum'>)[];
}

export type DraftPart = Omit<UnitPart, 'end'> & { readonly end: Omit<LargeFile, 'sha256'> | undefined };

export interface HashedUnitsPlace {
  readonly hasher: UnitHasher;
  readonly received: ReceivedFiles;
  readonly hand: (unit: FilledUnit) => void;
  /** Told once, of what goes wrong: no unit is handed on any more, and no room becomes free. */
  readonly failed: (error: WaldenError) => void;
}

/** Hands units on in their order once their files have been hashed, and notes what came of each file. */
export class HashedUnits {
  readonly #place: HashedUnitsPlace;
  #last: Promise<void> = Promise.resolve();
  #hasFailed = false;

  constructor(place: HashedUnitsPlace) {
    this.#place = place;
  }

  add(draft: DraftUnit): void {
    const { hasher, failed } = this.#place;
    const hashed = hasher.hash({ room: draft.room.number, ranges: draft.ranges });
    this.#last = this.#completeAfter(this.#last, draft, hashed);
    this.#last.catch((error: unknown) => {
      if (!this.#hasFailed) failed(toWaldenError(error));
      this.#hasFailed = true;
    });
  }

  /** Resolves when all were handed on and noted, and these files too. @throws INTERNAL, LOCAL_IO, STORAGE_FULL */
  async end(received: DraftUnit['received']): Promise<void> {
    await this.#last;
    this.#note(received, []);
  }

  /** A failure before it is this one's, too. */
  async #completeAfter(before: Promise<void>, draft: DraftUnit, hashed: Promise<readonly FileDigest[]>): Promise<void> {
    const [, digests] = await Promise.all([before, hashed]);
    const { room, members, part, received } = draft;
    this.#note(received, digests);
    const contents = contentsOf(members, part, inTurn(digests));
    const [text] = shareTexts(room.text, JSON.stringify(contents));
    if (typeof text === 'string') throw new WaldenError('INTERNAL', 'the text of a unit has no room');
    this.#place.hand({ room: room.number, textBytes: text.bytes, part: contents.part });
  }

  #note(received: DraftUnit['received'], digests: readonly FileDigest[]): void {
    const next = inTurn(digests);
    for (const file of received) {
      const checksum = 'checksum' in file ? file.checksum : listedChecksum(next().crc32c);
      this.#place.received.add({ ...file, checksum });
    }
  }
}

function contentsOf(members: DraftUnit['members'], part: DraftPart | undefined, next: () => FileDigest): UnitContents {
  return {
    members: members.map((member) => (member.type === 'directory' ? member : { ...member, sha256: next().sha256 })),
    part:
      part === undefined
        ? undefined
        : { ...part, end: part.end === undefined ? undefined : { ...part.end, sha256: next().sha256 } },
  };
}

function inTurn(digests: readonly FileDigest[]): () => FileDigest {
  let index = 0;
  return () => {
    const digest = digests[index];
    index += 1;
    if (digest === undefined) throw new WaldenError('INTERNAL', 'a file of a unit was not hashed');
    return digest;
  };
}
