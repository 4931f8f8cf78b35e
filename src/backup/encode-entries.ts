import { shareTexts } from '../platform/shared-text.ts';
import { encodeManifestEntries, type ManifestEntry } from '../repository/manifest.ts';
import { backupManifestEntries } from '../repository/backup-manifest-file.ts';
import type { EncodedEntries } from './pack-input.ts';

/** For both manifests, in the room that the receiver gave. */
export function encodeEntries(entries: readonly ManifestEntry[], room: SharedArrayBuffer): EncodedEntries {
  const files = entries.filter((entry) => entry.type === 'file');
  const { lines, ...counts } = encodeManifestEntries(entries);
  const [walden, postgres] = shareTexts(room, lines, backupManifestEntries(files));
  return { walden: { ...counts, lines: walden }, postgres, files: files.length };
}
