import { once } from 'node:events';
import { closeSync, openSync, writeSync } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { Agent } from 'node:http';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { CompleteMultipartUploadCommand, CreateMultipartUploadCommand, UploadPartCommand } from '@aws-sdk/client-s3';
import { ContainerClient, StorageSharedKeyCredential } from '@azure/storage-blob';
import { Storage } from '@google-cloud/storage';
import ssh2, { type SFTPWrapper } from 'ssh2';
import { bodyOfBytes, bodyOfStored } from '../src/repository/object-bytes.ts';
import type { Sha256Hex, StorageDriver } from '../storage-drivers/driver.ts';
import { objectKey } from '../storage-drivers/object-key.ts';
import type { DriverOptions } from '../storage-drivers/registry.ts';
import { keysOfFile } from '../storage-drivers/s3/s3-credentials.ts';

/** A file of this host, in the page cache, whose hash is known as it is of every file that Walden stores. */
export interface SourceFile {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: Sha256Hex;
  /** Of what is in memory as well, and is sent from there. */
  readonly content?: Buffer;
}

/** Moves files to a store and back; what comes back is in memory, or in a file where the store's program wants one. */
export interface StoreClient {
  upload(name: string, file: SourceFile): Promise<void>;
  download(name: string, file: SourceFile, directory: string): Promise<void>;
  close(): Promise<void>;
}

const MEBIBYTE = 1024 ** 2;
/** As Walden's drivers have them. */
const PART_BYTES = 16 * MEBIBYTE;
const SINGLE_BYTES = 32 * MEBIBYTE;
const SIDE_BY_SIDE = 4;

/** Memory that downloads come into, used again and again, as the service's is: new memory for each costs more than the rest. */
class Landing {
  readonly #free: Buffer[] = [];

  /** @param bring says how many bytes it brought */
  async use(file: SourceFile, bring: (memory: Buffer) => Promise<number>): Promise<void> {
    const found = this.#free.findIndex(({ length }) => length === file.bytes);
    const [memory = Buffer.allocUnsafeSlow(file.bytes)] = found < 0 ? [] : this.#free.splice(found, 1);
    const bytes = await bring(memory);
    this.#free.push(memory);
    if (bytes !== file.bytes) throw new Error(`${bytes} of ${file.bytes} bytes of ${file.path} came back`);
  }
}

const landing = new Landing();

async function land(stream: Readable, memory: Buffer): Promise<number> {
  let length = 0;
  for await (const chunk of stream as AsyncIterable<Uint8Array>) {
    memory.set(chunk, length);
    length += chunk.byteLength;
  }
  return length;
}

/** As a restore writes: without a queue in between, in which what came would grow old. */
async function writeTo(path: string, stream: Readable): Promise<void> {
  const file = openSync(path, 'w');
  try {
    for await (const chunk of stream as AsyncIterable<Uint8Array>) {
      for (let done = 0; done < chunk.byteLength;) done += writeSync(file, chunk, done);
    }
  } finally {
    closeSync(file);
  }
}

export function waldenClient(driver: StorageDriver, toFiles: boolean): StoreClient {
  return {
    async upload(name, file) {
      const { path, bytes, sha256, content } = file;
      if (content === undefined) await driver.put(objectKey(name), bodyOfStored(path, file), { ifExists: 'fail' });
      else await driver.put(objectKey(name), bodyOfBytes(content, sha256), { ifExists: 'fail', largestBytes: bytes });
    },
    async download(name, file, directory) {
      const stream = await driver.get(objectKey(name));
      if (toFiles) {
        await writeTo(join(directory, name), stream);
        return;
      }
      await landing.use(file, async (memory) => land(stream, memory));
    },
    close: () => driver.close(),
  };
}

/** The SDK's own fastest way. */
export async function sdkClient(options: DriverOptions): Promise<StoreClient> {
  switch (options.driver) {
    case 's3':
      return await s3Client(options);
    case 'azure':
      return await azureClient(options);
    case 'gcs':
      return gcsClient(options);
    case 'sftp':
      return await sftpClient(options);
    case 'local':
      throw new Error('a directory has no SDK');
  }
}

/** Parts as buffers in a loop of our own, which lib-storage is no faster than; ranges for what is large. */
async function s3Client(options: Extract<DriverOptions, { driver: 's3' }>): Promise<StoreClient> {
  const client = new S3Client({
    endpoint: options.endpoint ?? '',
    region: 'us-east-1',
    forcePathStyle: true,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    credentials: await keysOfFile(options.credentialsFile ?? '', 'default'),
    requestHandler: { httpAgent: new Agent({ keepAlive: true, maxSockets: 50 }) },
  });
  const at = (name: string): { Bucket: string; Key: string } => ({
    Bucket: options.bucket,
    Key: `${options.prefix ?? ''}/${name}`,
  });
  return {
    async upload(name, { path, bytes, content }) {
      if (content !== undefined || bytes <= SINGLE_BYTES) {
        await client.send(new PutObjectCommand({ ...at(name), Body: content ?? (await readFile(path)) }));
        return;
      }
      const { UploadId } = await client.send(new CreateMultipartUploadCommand(at(name)));
      const source = await open(path);
      const parts = await inParts(bytes, async (offset, length, index) => {
        const Body = Buffer.allocUnsafe(length);
        await source.read(Body, 0, length, offset);
        const PartNumber = index + 1;
        const { ETag } = await client.send(new UploadPartCommand({ ...at(name), UploadId, PartNumber, Body }));
        return { ETag, PartNumber };
      });
      await source.close();
      await client.send(
        new CompleteMultipartUploadCommand({ ...at(name), UploadId, MultipartUpload: { Parts: [...parts] } }),
      );
    },
    async download(name, file) {
      await landing.use(file, async (memory) => {
        const lengths = await inParts(file.bytes, async (offset, length) => {
          const Range = `bytes=${offset}-${offset + length - 1}`;
          const { Body } = await client.send(new GetObjectCommand({ ...at(name), Range }));
          return await land(Body as Readable, memory.subarray(offset, offset + length));
        });
        return lengths.reduce((sum, length) => sum + length);
      });
    },
    close() {
      client.destroy();
      return Promise.resolve();
    },
  };
}

async function azureClient(options: Extract<DriverOptions, { driver: 'azure' }>): Promise<StoreClient> {
  const { account = '', endpoint = '', container, prefix = '', keyFile = '' } = options;
  const credential = new StorageSharedKeyCredential(account, (await readFile(keyFile, 'utf8')).trim());
  const client = new ContainerClient(`${endpoint}/${container}`, credential);
  const sizes = { blockSize: PART_BYTES, concurrency: SIDE_BY_SIDE };
  return {
    async upload(name, { path, content }) {
      const blob = client.getBlockBlobClient(`${prefix}/${name}`);
      if (content !== undefined) await blob.uploadData(content, sizes);
      else await blob.uploadFile(path, { ...sizes, maxSingleShotSize: SINGLE_BYTES });
    },
    async download(name, file) {
      const blob = client.getBlockBlobClient(`${prefix}/${name}`);
      await landing.use(file, async (memory) => (await blob.downloadToBuffer(memory, 0, file.bytes, sizes)).length);
    },
    close: () => Promise.resolve(),
  };
}

/** Without its checksums, which it computes in JavaScript. */
function gcsClient({ endpoint = '', bucket, prefix = '' }: Extract<DriverOptions, { driver: 'gcs' }>): StoreClient {
  const store = new Storage({ apiEndpoint: endpoint, projectId: 'walden' }).bucket(bucket);
  return {
    async upload(name, { path, content }) {
      // In one request, which is faster than a session.
      const options = { resumable: false, validation: false };
      if (content !== undefined) await store.file(`${prefix}/${name}`).save(content, options);
      else await store.upload(path, { ...options, destination: `${prefix}/${name}` });
    },
    async download(name, file) {
      const stream = store.file(`${prefix}/${name}`).createReadStream({ validation: false });
      await landing.use(file, (memory) => land(stream, memory));
    },
    close: () => Promise.resolve(),
  };
}

/** fastPut leaves the file to the server's page cache: it is made durable behind it, as Walden's are. */
async function sftpClient(options: Extract<DriverOptions, { driver: 'sftp' }>): Promise<StoreClient> {
  const { host, port = 22, user: username, keyFile = '', path } = options;
  const client = new ssh2.Client();
  client.connect({ host, port, username, privateKey: await readFile(keyFile) });
  await once(client, 'ready');
  client.setNoDelay(true);
  const sftp = await answered<SFTPWrapper>((done) => {
    client.sftp(done);
  });
  const remote = (name: string): string => join(path, name);
  return {
    async upload(name, file) {
      await answered((done) => {
        sftp.fastPut(file.path, remote(name), (error) => {
          done(error, undefined);
        });
      });
      const handle = await answered<Buffer>((done) => {
        sftp.open(remote(name), 'r+', done);
      });
      await answered((done) => {
        sftp.ext_openssh_fsync(handle, (error) => {
          done(error, undefined);
        });
      });
      await answered((done) => {
        sftp.close(handle, (error) => {
          done(error, undefined);
        });
      });
    },
    async download(name, _file, directory) {
      await answered((done) => {
        sftp.fastGet(remote(name), join(directory, name), (error) => {
          done(error, undefined);
        });
      });
    },
    async close() {
      client.end();
      await once(client, 'close');
    },
  };
}

type Done<Result> = (error: Error | null | undefined, result: Result) => void;

async function answered<Result = unknown>(ask: (done: Done<Result>) => void): Promise<Result> {
  return await new Promise((resolve, reject) => {
    ask((error, result) => {
      if (error === undefined || error === null) resolve(result);
      else reject(error);
    });
  });
}

/** So many pieces at a time; their results in order. */
async function inParts<Result>(
  bytes: number,
  work: (offset: number, length: number, index: number) => Promise<Result>,
): Promise<readonly Result[]> {
  const count = Math.ceil(bytes / PART_BYTES);
  const results: Result[] = [];
  await sideBySide([...Array(count).keys()], SIDE_BY_SIDE, async (index) => {
    const offset = index * PART_BYTES;
    results[index] = await work(offset, Math.min(PART_BYTES, bytes - offset), index);
  });
  return results;
}

/** Does the work for each item, so many of them at a time. */
export async function sideBySide<Item>(
  items: readonly Item[],
  most: number,
  work: (item: Item) => Promise<unknown>,
): Promise<void> {
  const waiting = items.values();
  const one = async (): Promise<void> => {
    for (const item of waiting) await work(item);
  };
  await Promise.all(Array.from({ length: most }, one));
}
