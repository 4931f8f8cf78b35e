import type { StorageClass } from '@aws-sdk/client-s3';
import { WaldenError } from '../../src/errors.ts';
import type { S3Options } from './s3-options.ts';

/** What goes with every object that is stored, in the SDK's words. @throws CONFIG_INVALID */
export function objectSettings({ storageClass, tags, serverSideEncryption, kmsKey }: S3Options) {
  return {
    // The SDK's type lists what AWS had when the SDK was made; other stores have classes of their own, and it sends any.
    ...(storageClass === undefined ? {} : { StorageClass: storageClass as StorageClass }),
    ...(tags === undefined || tags.length === 0 ? {} : { Tagging: tags.map(encodedTag).join('&') }),
    ...(serverSideEncryption === undefined ? {} : { ServerSideEncryption: serverSideEncryption }),
    ...(kmsKey === undefined ? {} : { SSEKMSKeyId: kmsKey }),
  };
}

function encodedTag(tag: string): string {
  const [, name, value] = /^([^=]+)=(.*)$/.exec(tag) ?? [];
  if (name === undefined || value === undefined) {
    throw new WaldenError('CONFIG_INVALID', `${JSON.stringify(tag)} in tags is not key=value`);
  }
  return `${encodeURIComponent(name)}=${encodeURIComponent(value)}`;
}
