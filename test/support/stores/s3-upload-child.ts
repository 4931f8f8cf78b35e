import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import type { Sha256Hex } from '../../../storage-drivers/driver.ts';
import { objectKey } from '../../../storage-drivers/object-key.ts';
import { S3Driver } from '../../../storage-drivers/s3/s3-driver.ts';
import type { S3Options } from '../../../storage-drivers/s3/s3-options.ts';
import { MEBIBYTE, SMALL_PARTS } from './s3-scene.ts';

/** A process that uploads a body in parts and never comes to its end: s3-upload-child.js OPTIONS KEY. */
const [options = '', key = ''] = process.argv.slice(2);

async function* endless(): AsyncGenerator<Buffer> {
  yield randomBytes(6 * MEBIBYTE);
  await new Promise((resolve) => setTimeout(resolve, 2 ** 31 - 1));
}

const driver = await S3Driver.open(JSON.parse(options) as S3Options, { access: 'read-write', sizes: SMALL_PARTS });
const body = {
  size: 20 * MEBIBYTE,
  sha256: () => Promise.resolve('0'.repeat(64) as Sha256Hex),
  path: undefined,
  open: () => Readable.from(endless(), { objectMode: false }),
};
await driver.put(objectKey(key), body, { ifExists: 'fail' });
