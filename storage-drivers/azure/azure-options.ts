/** What a repository's section of the configuration says about a container of Azure Blob Storage. */
export interface AzureOptions {
  readonly container: string;
  /** Where the repository begins in the container, without a slash at its ends; undefined: at its root. */
  readonly prefix: string | undefined;
  /** The storage account. */
  readonly account: string | undefined;
  /** URL of the blob service; undefined: https://<account>.blob.core.windows.net. */
  readonly endpoint: string | undefined;
  readonly connectionStringFile: string | undefined;
  /** A file with a key of the account. */
  readonly keyFile: string | undefined;
  /** A file with a shared access signature (SAS token). */
  readonly sasFile: string | undefined;
  /** A file with the certificates (PEM) to trust besides those that Node trusts. */
  readonly caFile: string | undefined;
  /** http://[user:password@]host:port of a proxy that takes CONNECT. */
  readonly proxy: string | undefined;
  /** Hot, Cool, Cold; undefined: the account's default. */
  readonly accessTier: string | undefined;
  /** `key=value`, for the store's own rules. */
  readonly tags: readonly string[] | undefined;
  readonly encryptionScope: string | undefined;
}
