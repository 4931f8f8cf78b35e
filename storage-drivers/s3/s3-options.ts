import type { ObjectLock } from '../../src/config/option.ts';

/** What the configuration says about one S3 store. */
export interface S3Options {
  readonly bucket: string;
  /** Where in the bucket the repository begins, without a slash at its ends; undefined: the whole bucket is Walden's. */
  readonly prefix: string | undefined;
  /** A URL; undefined: AWS. */
  readonly endpoint: string | undefined;
  /** Undefined: what the environment says, or `us-east-1` with an endpoint. */
  readonly region: string | undefined;
  /** The bucket in the path of the URL instead of in the name of the host; by default with an endpoint. */
  readonly pathStyle: boolean | undefined;
  /** Checksums besides the signed SHA-256; by default where they are supported on AWS, and where required elsewhere. */
  readonly checksums: 'when_required' | 'when_supported' | undefined;
  /** Of the credentials file, or of AWS's own configuration files. */
  readonly profile: string | undefined;
  /** In the format of AWS's shared credentials file; undefined: where AWS's SDK finds credentials by itself. */
  readonly credentialsFile: string | undefined;
  /** Certificate authorities to trust instead of those that Node knows, PEM. */
  readonly caFile: string | undefined;
  /** URL of an HTTP proxy. May hold a password. */
  readonly proxy: string | undefined;
  readonly storageClass: string | undefined;
  /** Each `key=value`. */
  readonly tags: readonly string[] | undefined;
  readonly serverSideEncryption: 'AES256' | 'aws:kms' | undefined;
  readonly kmsKey: string | undefined;
  /** Of every object that is not temporary, from its upload on. */
  readonly objectLock: ObjectLock | undefined;
}
