import { Readable } from 'node:stream';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
  S3ServiceException,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { WaldenError } from '../../src/errors.ts';
import { type Algorithm, base64Of, type Digests } from '../upload/digests.ts';
import type { Part, Piece } from '../upload/upload.ts';
import { S3Bucket, type S3Call, type S3Page } from './s3-bucket.ts';
import { retentionHeaders, type S3Locked, type S3Retention } from './s3-lock.ts';
import { objectSettings } from './s3-object-settings.ts';
import type { S3Options } from './s3-options.ts';

const PAGE_OBJECTS = 1000;
/** Metadata of an object that went up in parts: whose upload made it. */
const MARK = 'walden-upload';

export interface S3Found extends S3Locked {
  readonly size: number;
  /** Of the upload in parts that made it, if one did. */
  readonly mark: string | undefined;
  /** Where the bucket keeps versions. */
  readonly versionId: string | undefined;
}

export interface S3Upload {
  readonly name: string;
  readonly id: string;
}

export interface S3Body {
  readonly body: Readable;
  readonly size: number;
  readonly range: string | undefined;
}

/** An object, or one version of it. */
export interface S3Name {
  readonly name: string;
  readonly versionId?: string | undefined;
}

export interface S3Put {
  readonly onlyNew: boolean;
  /** Undefined: it may be removed at any time. */
  readonly retention: S3Retention | undefined;
}

/** The requests that Walden makes about objects of one bucket. Names are whole, prefix and all. */
export class S3Requests {
  readonly bucket: S3Bucket;
  readonly #settings: ReturnType<typeof objectSettings>;

  constructor(client: S3Client, options: S3Options) {
    this.bucket = new S3Bucket(client, options);
    this.#settings = objectSettings(options);
  }

  /** @throws STORAGE_OBJECT_EXISTS with `onlyNew`, where the store knows conditions */
  async put(name: string, { bytes, digests }: Piece, { onlyNew, retention, ...call }: S3Call & S3Put): Promise<void> {
    const command = new PutObjectCommand({
      ...this.bucket.at(name),
      ...this.#settings,
      ...(onlyNew ? { IfNoneMatch: '*' } : {}),
      ...retentionHeaders(retention),
      ...md5Header(digests),
      Body: bytes(),
    });
    command.middlewareStack.add((next) => (step) => next(hashedAs(step, digests)), { step: 'build' });
    await this.bucket.ask('PutObject', call, (client, http) => client.send(command, http));
  }

  /** Undefined where nothing is found: not yet a proof that the bucket is there. */
  async head(name: string, call: S3Call): Promise<S3Found | undefined> {
    return await this.bucket.ask('HeadObject', call, async (client, http) => {
      try {
        const found = await client.send(new HeadObjectCommand(this.bucket.at(name)), http);
        return {
          size: this.bucket.told(found.ContentLength, 'its size'),
          mark: found.Metadata?.[MARK],
          versionId: found.VersionId,
          until: found.ObjectLockRetainUntilDate,
          legalHold: found.ObjectLockLegalHoldStatus === 'ON',
        };
      } catch (error) {
        const status = error instanceof S3ServiceException ? error.$metadata.httpStatusCode : undefined;
        if (status === 404) return undefined;
        // With 400 AWS refuses a session token that has run out; why can only be told in the body of another answer.
        if (status === 400) (await this.get({ name }, 'bytes=0-0', call)).body.destroy();
        throw error;
      }
    });
  }

  /** `range` as in HTTP. The stream's own errors are still the SDK's. @throws STORAGE_OBJECT_MISSING, STORAGE_SIZE */
  async get({ name, versionId }: S3Name, range: string | undefined, call: S3Call): Promise<S3Body> {
    const command = new GetObjectCommand({
      ...this.bucket.at(name),
      ...(versionId === undefined ? {} : { VersionId: versionId }),
      ...(range === undefined ? {} : { Range: range }),
    });
    const { Body, ContentLength, ContentRange } = await this.bucket.ask('GetObject', call, (client, http) =>
      client.send(command, http),
    );
    if (!(Body instanceof Readable)) throw new WaldenError('INTERNAL', 'the SDK gave something other than a stream');
    if (ContentLength === undefined) Body.destroy();
    return { body: Body, size: this.bucket.told(ContentLength, 'its size'), range: ContentRange };
  }

  /** What a stream of `get` fails with. */
  readingError(error: unknown, call: S3Call): WaldenError {
    return this.bucket.errorOf(error, 'GetObject', call);
  }

  /** Objects whose names begin with `prefix`, behind `after`; `from`: a page's `next`. */
  async list(
    prefix: string,
    { after, from, ...call }: S3Call & { readonly after: string | undefined; readonly from: string | undefined },
  ): Promise<S3Page<{ readonly name: string; readonly size: number }>> {
    const command = new ListObjectsV2Command({
      Bucket: this.bucket.name,
      Prefix: prefix,
      MaxKeys: PAGE_OBJECTS,
      ...(after === undefined ? {} : { StartAfter: after }),
      ...(from === undefined ? {} : { ContinuationToken: from }),
    });
    const page = await this.bucket.ask('ListObjectsV2', call, (client, http) => client.send(command, http));
    const items = (page.Contents ?? []).map(({ Key, Size }) => ({
      name: this.bucket.told(Key, 'the name of an object'),
      size: this.bucket.told(Size, 'the size of an object'),
    }));
    const next = page.IsTruncated === true ? this.bucket.told(page.NextContinuationToken, 'where to go on') : undefined;
    return { items, next };
  }

  async remove(name: string, call: S3Call): Promise<void> {
    await this.bucket.ask('DeleteObject', call, (client, http) =>
      client.send(new DeleteObjectCommand(this.bucket.at(name)), http),
    );
  }

  async beginUpload(
    name: string,
    { mark, retention, ...call }: S3Call & { readonly mark: string } & Pick<S3Put, 'retention'>,
  ): Promise<S3Upload> {
    const command = new CreateMultipartUploadCommand({
      ...this.bucket.at(name),
      ...this.#settings,
      ...retentionHeaders(retention),
      Metadata: { [MARK]: mark },
    });
    const { UploadId } = await this.bucket.ask('CreateMultipartUpload', call, (client, http) =>
      client.send(command, http),
    );
    return { name, id: this.bucket.told(UploadId, 'the id of the upload') };
  }

  /** The tag of the part, by which the upload is completed. */
  async uploadPart(upload: S3Upload, { number, bytes, digests }: Part, call: S3Call): Promise<string> {
    const command = new UploadPartCommand({
      ...this.#of(upload),
      ...md5Header(digests),
      PartNumber: number,
      Body: bytes(),
    });
    command.middlewareStack.add((next) => (step) => next(hashedAs(step, digests)), { step: 'build' });
    const { ETag } = await this.bucket.ask('UploadPart', call, (client, http) => client.send(command, http));
    return this.bucket.told(ETag, 'the tag of a part');
  }

  /** @param tags of all parts, from the first. @throws STORAGE_OBJECT_EXISTS with `onlyNew`, but not by every store */
  async completeUpload(
    upload: S3Upload,
    tags: readonly string[],
    { onlyNew, ...call }: S3Call & { readonly onlyNew: boolean },
  ): Promise<void> {
    const command = new CompleteMultipartUploadCommand({
      ...this.#of(upload),
      ...(onlyNew ? { IfNoneMatch: '*' } : {}),
      MultipartUpload: { Parts: tags.map((ETag, index) => ({ ETag, PartNumber: index + 1 })) },
    });
    await this.bucket.ask('CompleteMultipartUpload', call, (client, http) => client.send(command, http));
  }

  async abortUpload(upload: S3Upload, call: S3Call): Promise<void> {
    const command = new AbortMultipartUploadCommand(this.#of(upload));
    await this.bucket.ask('AbortMultipartUpload', call, (client, http) => client.send(command, http));
  }

  /** The first thousand unfinished uploads to names that begin with `prefix`. */
  async uploads(prefix: string, call: S3Call): Promise<readonly (S3Upload & { readonly begun: Date })[]> {
    const command = new ListMultipartUploadsCommand({ Bucket: this.bucket.name, Prefix: prefix });
    const { Uploads } = await this.bucket.ask('ListMultipartUploads', call, (client, http) =>
      client.send(command, http),
    );
    return (Uploads ?? []).map(({ Key, UploadId, Initiated }) => ({
      name: this.bucket.told(Key, 'the name of an upload'),
      id: this.bucket.told(UploadId, 'the id of an upload'),
      begun: this.bucket.told(Initiated, 'when an upload was begun'),
    }));
  }

  /** Ends the requests that are under way too. */
  close(): void {
    this.bucket.close();
  }

  #of({ name, id }: S3Upload): { readonly Bucket: string; readonly Key: string; readonly UploadId: string } {
    return { ...this.bucket.at(name), UploadId: id };
  }
}

/** S3 wants a checksum of its own kinds for what it locks, besides the signature's. */
export function digestsFor(retention: S3Retention | undefined): readonly Algorithm[] {
  return retention === undefined ? ['sha256'] : ['sha256', 'md5'];
}

function md5Header(digests: Digests): { readonly ContentMD5?: string } {
  return digests.md5 === undefined ? {} : { ContentMD5: base64Of(digests, 'md5') };
}

/** The signature covers this header: with it the bytes are hashed once, by us, and checked by the store. */
function hashedAs<Step extends { readonly request: unknown }>(step: Step, { sha256 }: Digests): Step {
  if (hasHeaders(step.request) && sha256 !== undefined) step.request.headers['x-amz-content-sha256'] = sha256;
  return step;
}

/** The SDK does not say of what kind its requests are. */
function hasHeaders(request: unknown): request is { readonly headers: Record<string, string> } {
  return typeof request === 'object' && request !== null && 'headers' in request;
}
