import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  AbortMultipartUploadCommand,
  CreateBucketCommand,
  DeleteObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  ListPartsCommand,
  PutBucketPolicyCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { S3Driver, type S3UploadSizes } from '../../../storage-drivers/s3/s3-driver.ts';
import type { S3Options } from '../../../storage-drivers/s3/s3-options.ts';
import { newDirectory, removeDirectory } from '../sandbox.ts';
import type { S3TestServer, S3User } from './s3-servers.ts';

export const MEBIBYTE = 1024 ** 2;
/** The smallest that stores take, so that a body of a few MiB goes up in parts. */
export const SMALL_PARTS: S3UploadSizes = { singlePutBytes: 5 * MEBIBYTE, partBytes: 5 * MEBIBYTE };

export interface StoredVersion {
  readonly name: string;
  readonly versionId: string;
  readonly mode: string | undefined;
  readonly until: Date | undefined;
}

/** A store that runs, with a bucket in it. */
export class S3Scene<Server extends S3TestServer> {
  readonly server: Server;
  readonly bucket: string;
  /** Looks behind the driver's back. */
  readonly client: S3Client;
  readonly #directory = newDirectory('s3');
  #files = 0;

  /** @param objectLock whether the bucket has it, and so keeps versions */
  static async start<Server extends S3TestServer>(
    start: () => Promise<Server>,
    { objectLock = false }: { readonly objectLock?: boolean } = {},
  ): Promise<S3Scene<Server>> {
    const scene = new S3Scene(await start());
    const command = new CreateBucketCommand({ Bucket: scene.bucket, ObjectLockEnabledForBucket: objectLock });
    await scene.client.send(command);
    return scene;
  }

  private constructor(server: Server) {
    this.server = server;
    this.bucket = `walden-${randomUUID()}`;
    this.client = clientOf(server, server);
  }

  /** A fresh prefix: a repository of its own. */
  options(changes: Partial<S3Options> = {}): S3Options {
    return {
      bucket: this.bucket,
      prefix: `some/${randomUUID()}`,
      endpoint: this.server.endpoint,
      region: undefined,
      pathStyle: undefined,
      checksums: undefined,
      profile: undefined,
      credentialsFile: this.credentialsFile(this.server),
      caFile: undefined,
      proxy: undefined,
      storageClass: undefined,
      tags: undefined,
      serverSideEncryption: undefined,
      kmsKey: undefined,
      objectLock: undefined,
      ...changes,
    };
  }

  credentialsFile({ accessKey, secretKey }: S3User): string {
    this.#files += 1;
    const path = join(this.#directory, String(this.#files));
    const lines = ['[default]', `aws_access_key_id = ${accessKey}`, `aws_secret_access_key = ${secretKey}`];
    writeFileSync(path, `${lines.join('\n')}\n`, { mode: 0o600 });
    return path;
  }

  async open(changes: Partial<S3Options> = {}, sizes?: S3UploadSizes): Promise<S3Driver> {
    const options = this.options(changes);
    return await S3Driver.open(options, { access: 'read-write', ...(sizes === undefined ? {} : { sizes }) });
  }

  /** Lets the guest of Ceph's gateway do these things with the objects, and those with the bucket. */
  async allow(principal: string, objects: readonly string[], bucket: readonly string[]): Promise<void> {
    const arn = `arn:aws:s3:::${this.bucket}`;
    const statement = (actions: readonly string[], resource: string) => ({
      Effect: 'Allow',
      Principal: { AWS: [principal] },
      Action: actions.map((action) => `s3:${action}`),
      Resource: resource,
    });
    const Statement = [statement(objects, `${arn}/*`), statement(bucket, arn)];
    const policy = JSON.stringify({ Version: '2012-10-17', Statement });
    await this.client.send(new PutBucketPolicyCommand({ Bucket: this.bucket, Policy: policy }));
  }

  /** Hides every object of the bucket, as somebody does who has all permissions. How many there were. */
  async removeAll(): Promise<number> {
    let removed = 0;
    for (;;) {
      const { Contents = [] } = await this.client.send(new ListObjectsV2Command({ Bucket: this.bucket }));
      if (Contents.length === 0) return removed;
      for (const { Key } of Contents) {
        await this.client.send(new DeleteObjectCommand({ Bucket: this.bucket, Key }));
        removed += 1;
      }
    }
  }

  /** What there is below a prefix of the bucket, hidden or not, and how it is locked, by those who may look. */
  async versions(prefix = '', client = this.client): Promise<readonly StoredVersion[]> {
    const found: StoredVersion[] = [];
    for (let from: { KeyMarker?: string | undefined; VersionIdMarker?: string | undefined } = {}; ;) {
      const command = new ListObjectVersionsCommand({ Bucket: this.bucket, Prefix: prefix, ...from });
      const page = await client.send(command);
      for (const { Key, VersionId } of page.Versions ?? []) {
        const head = await client.send(new HeadObjectCommand({ Bucket: this.bucket, Key, VersionId }));
        const { ObjectLockMode: mode, ObjectLockRetainUntilDate: until } = head;
        found.push({ name: Key!, versionId: VersionId!, mode, until });
      }
      if (page.IsTruncated !== true) return found;
      from = { KeyMarker: page.NextKeyMarker, VersionIdMarker: page.NextVersionIdMarker };
    }
  }

  /** How many removals the bucket remembers below a prefix. */
  async markers(prefix: string): Promise<number> {
    const command = new ListObjectVersionsCommand({ Bucket: this.bucket, Prefix: prefix });
    return (await this.client.send(command)).DeleteMarkers?.length ?? 0;
  }

  /** The names that unfinished uploads are for. */
  async uploads(prefix: string): Promise<readonly string[]> {
    const command = new ListMultipartUploadsCommand({ Bucket: this.bucket, Prefix: prefix });
    return ((await this.client.send(command)).Uploads ?? []).map(({ Key }) => Key!);
  }

  /** How many parts unfinished uploads have. */
  async parts(prefix: string): Promise<number> {
    let parts = 0;
    const command = new ListMultipartUploadsCommand({ Bucket: this.bucket, Prefix: prefix });
    for (const { Key, UploadId } of (await this.client.send(command)).Uploads ?? []) {
      const answer = await this.client.send(new ListPartsCommand({ Bucket: this.bucket, Key, UploadId }));
      parts += answer.Parts?.length ?? 0;
    }
    return parts;
  }

  async abortUploads(prefix: string): Promise<void> {
    const { Uploads = [] } = await this.client.send(
      new ListMultipartUploadsCommand({ Bucket: this.bucket, Prefix: prefix }),
    );
    for (const { Key, UploadId } of Uploads) {
      await this.client.send(new AbortMultipartUploadCommand({ Bucket: this.bucket, Key, UploadId }));
    }
  }

  async end(): Promise<void> {
    this.client.destroy();
    removeDirectory(this.#directory);
    await this.server.stop();
  }
}

export function clientOf({ endpoint }: S3TestServer, { accessKey, secretKey }: S3User): S3Client {
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] = 'true';
  return new S3Client({
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    credentials: { accessKeyId: accessKey, secretAccessKey: secretKey },
  });
}
