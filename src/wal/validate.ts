import { WaldenError } from '../errors.ts';
import type { ClusterIdentity, WalIndex } from '../../catalog/catalog.ts';
import { parseBackupLabel } from '../postgres/backup-label.ts';
import { SegmentWalker } from '../postgres/segment-walker.ts';
import { parseTimelineHistory } from '../postgres/timeline-history.ts';
import { type ParsedWalName, segmentNumberOfName } from '../postgres/wal-name.ts';

/** Checks a WAL file as its bytes pass by. What it does not refuse may enter the archive. */
export interface WalValidator {
  /** Chunks in order. @throws FORMAT_INVALID, SERVER_MISMATCH as soon as it is known */
  feed(chunk: Uint8Array): void;
  /** @throws FORMAT_INVALID when the file ends too early. */
  finish(): { readonly index: WalIndex | undefined; readonly history: string | undefined };
}

/** A history file has a line per timeline, a backup history file a dozen lines: more is something else. */
const MAX_TEXT_BYTES = 1024 * 1024;

/** @throws FORMAT_INVALID when name and size alone show that the file is not what its name says. */
export function createWalValidator(file: ParsedWalName, identity: ClusterIdentity, fileBytes: number): WalValidator {
  if (file.kind === 'history' || file.kind === 'backup') return textValidator(file, fileBytes);
  if (file.segment === undefined) throw new WaldenError('INTERNAL', `${file.name} names no segment`);
  const segment = segmentNumberOfName(file.segment, identity.segmentBytes);
  if (fileBytes !== identity.segmentBytes) {
    throw new WaldenError('FORMAT_INVALID', `${file.name} has ${fileBytes} bytes instead of ${identity.segmentBytes}`, {
      hint: 'the file was cut off, or it belongs to a cluster with another segment size',
    });
  }
  const walker = new SegmentWalker({ ...identity, timeline: file.timeline, segment, kind: file.kind });
  return {
    feed: (chunk) => {
      walker.feed(chunk);
    },
    finish: () => ({ index: walker.finish(), history: undefined }),
  };
}

function textValidator(file: ParsedWalName, fileBytes: number): WalValidator {
  if (fileBytes === 0 || fileBytes > MAX_TEXT_BYTES) {
    throw new WaldenError('FORMAT_INVALID', `${file.name} has ${fileBytes} bytes`);
  }
  const chunks: Buffer[] = [];
  return {
    feed: (chunk) => {
      chunks.push(Buffer.from(chunk));
    },
    finish: () => {
      const text = Buffer.concat(chunks).toString('utf8');
      if (file.kind === 'history') {
        parseTimelineHistory(text, file.timeline);
        return { index: undefined, history: text };
      }
      parseBackupLabel(text);
      return { index: undefined, history: undefined };
    },
  };
}
