import { GetBucketVersioningCommand, ListObjectVersionsCommand } from '@aws-sdk/client-s3';
import { isWaldenError, WaldenError } from '../../src/errors.ts';
import type { ObjectKey } from '../driver.ts';
import type { KeyPrefix } from '../key-prefix.ts';
import type { S3Bucket, S3Call, S3Page } from './s3-bucket.ts';

/** Buckets that keep versions: what an object was before it was replaced, and that it was removed, both with their moments. */

const PAGE_VERSIONS = 1000;

/** An object as it was. */
export interface S3Version {
  readonly key: ObjectKey;
  readonly versionId: string;
  readonly size: number;
}

/** One entry in the history of a key. */
interface Change {
  readonly key: ObjectKey;
  readonly versionId: string;
  /** By the store's clock; some tell whole seconds only. */
  readonly at: Date;
  /** Undefined: it was removed. */
  readonly size: number | undefined;
  readonly isLatest: boolean;
}

/** Both as the store gives them: where the next page begins. */
interface Marker {
  readonly KeyMarker: string | undefined;
  readonly VersionIdMarker?: string | undefined;
}

/** @throws USAGE where the bucket keeps no versions; who may not ask is not told */
export async function assertVersioned(bucket: S3Bucket, signal: AbortSignal): Promise<void> {
  const attempted = 'look whether the bucket keeps versions';
  const command = new GetBucketVersioningCommand({ Bucket: bucket.name });
  try {
    const { Status } = await bucket.ask('GetBucketVersioning', { attempted, signal }, (client, http) =>
      client.send(command, http),
    );
    if (Status !== undefined) return;
  } catch (error) {
    // The permission is not needed for anything else.
    if (isWaldenError(error, 'STORAGE_DENIED')) return;
    throw error;
  }
  throw new WaldenError('USAGE', `${bucket.store} keeps no versions: what it was at a moment is not known`, {
    hint: 'read it as it is now, without --as-of',
  });
}

/**
 * What the keys that begin with `text` were at a moment, in ascending order, behind `after`; one that was removed then, or
 * was not there yet, is left out.
 */
export async function* versionsAsOf(
  bucket: S3Bucket,
  prefix: KeyPrefix,
  { text, after, asOf, ...call }: S3Call & { readonly text: string; readonly after?: ObjectKey; readonly asOf: Date },
): AsyncGenerator<S3Version, void, undefined> {
  let current: { readonly key: ObjectKey; change: Change | undefined } | undefined;
  for await (const change of changes(bucket, prefix, { text, after, ...call })) {
    if (change.key !== current?.key) {
      if (current !== undefined && change.key < current.key) throw outOfOrder(bucket, current.key, change.key);
      if (isThere(current?.change)) yield current.change;
      current = { key: change.key, change: undefined };
    }
    if (change.at <= asOf && isNewer(change, current.change)) current.change = change;
  }
  if (isThere(current?.change)) yield current.change;
}

function isThere(change: Change | undefined): change is Change & { readonly size: number } {
  return change?.size !== undefined;
}

/** Of the same moment, the one that still holds; else one with bytes, rather than take something for removed. */
function isNewer(change: Change, than: Change | undefined): boolean {
  if (than === undefined) return true;
  if (change.at.getTime() !== than.at.getTime()) return change.at > than.at;
  return change.isLatest || (!than.isLatest && than.size === undefined);
}

/** Those of one key one after the other, whatever pages they are on. */
async function* changes(
  bucket: S3Bucket,
  prefix: KeyPrefix,
  { text, after, ...call }: S3Call & { readonly text: string; readonly after: ObjectKey | undefined },
): AsyncGenerator<Change, void, undefined> {
  let from: Marker | undefined = after === undefined ? undefined : { KeyMarker: prefix.nameOf(after) };
  for (;;) {
    const page: S3Page<Change, Marker> = await changesPage(bucket, prefix, { text, from, ...call });
    // Some stores begin with the marker itself.
    for (const change of page.items) if (after === undefined || change.key > after) yield change;
    if (page.next === undefined) return;
    if (page.next.KeyMarker === from?.KeyMarker && page.next.VersionIdMarker === from?.VersionIdMarker) {
      throw new WaldenError('STORAGE_UNAVAILABLE', 'the store gives the same page for ever');
    }
    from = page.next;
  }
}

async function changesPage(
  bucket: S3Bucket,
  prefix: KeyPrefix,
  { text, from, ...call }: S3Call & { readonly text: string; readonly from: Marker | undefined },
): Promise<S3Page<Change, Marker>> {
  const command = new ListObjectVersionsCommand({
    Bucket: bucket.name,
    Prefix: `${prefix.text}${text}`,
    MaxKeys: PAGE_VERSIONS,
    ...from,
  });
  const page = await bucket.ask('ListObjectVersions', call, (client, http) => client.send(command, http));
  const stored = (page.Versions ?? []).map((found) => ({ ...found, size: bucket.told(found.Size, 'a size') }));
  const removed = (page.DeleteMarkers ?? []).map((found) => ({ ...found, size: undefined }));
  const items: Change[] = [];
  for (const { size, ...found } of [...stored, ...removed]) {
    const key = prefix.keyOf(bucket.told(found.Key, 'the name of an object'));
    if (key === undefined) continue;
    const versionId = bucket.told(found.VersionId, 'the version of an object');
    const at = bucket.told(found.LastModified, 'when an object was changed');
    items.push({ key, versionId, at, size, isLatest: found.IsLatest === true });
  }
  // The SDK keeps removals apart; the order among those of one key stays the store's.
  items.sort((a, b) => (a.key < b.key ? -1 : Number(a.key > b.key)));
  const next = { KeyMarker: page.NextKeyMarker, VersionIdMarker: page.NextVersionIdMarker };
  return { items, next: page.IsTruncated === true ? next : undefined };
}

function outOfOrder(bucket: S3Bucket, last: ObjectKey, key: ObjectKey): WaldenError {
  return new WaldenError('STORAGE_UNAVAILABLE', `${bucket.store} lists ${key} behind ${last}, out of order`);
}
