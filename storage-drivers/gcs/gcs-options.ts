import { X509Certificate } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { systemErrorCode, WaldenError } from '../../src/errors.ts';

export interface GcsOptions {
  readonly bucket: string;
  /** Where the repository begins in the bucket, without a slash at its ends; undefined: everywhere. */
  readonly prefix: string | undefined;
  /** URL without a path; undefined: Google's own. */
  readonly endpoint: string | undefined;
  /** Who is billed, and whose quota counts: for a bucket that wants requesters to pay. */
  readonly project: string | undefined;
  /** JSON of a service account or of workload identity federation; undefined: what the SDK finds by itself. */
  readonly credentialsFile: string | undefined;
  /** PEM of the authorities that the store's certificate is checked against, instead of the well-known ones. */
  readonly caFile: string | undefined;
  /** URL of a proxy that knows CONNECT, with its user and password if it wants them. */
  readonly proxy: string | undefined;
  readonly storageClass: string | undefined;
  /** Name of a key of Cloud KMS: projects/…/locations/…/keyRings/…/cryptoKeys/… */
  readonly kmsKey: string | undefined;
  /** Custom metadata of each object, as `key=value`. */
  readonly tags: readonly string[] | undefined;
}

/** How the store is reached, checked. */
export interface GcsConnection {
  readonly endpoint: URL;
  readonly ca: string | undefined;
  readonly proxy: URL | undefined;
  /** Whether requests carry a token. */
  readonly authenticated: boolean;
}

const GOOGLE = 'https://storage.googleapis.com';
const OTHERS_BITS = 0o007;

/**
 * Google is always asked with a token. An endpoint of somebody else, such as an emulator's, gets one only when
 * credentials are named, here or in GOOGLE_APPLICATION_CREDENTIALS: what the host happens to have for Google is not for
 * them. A token never goes over a network in the clear.
 * @throws CONFIG_INVALID
 */
export async function checkedConnection(options: GcsOptions): Promise<GcsConnection> {
  const endpoint = checkedUrl('endpoint', options.endpoint ?? GOOGLE);
  const proxy = options.proxy === undefined ? undefined : checkedUrl('proxy', options.proxy);
  const named = options.credentialsFile ?? process.env['GOOGLE_APPLICATION_CREDENTIALS'];
  const authenticated = named !== undefined || isGoogle(endpoint);
  if (endpoint.protocol === 'http:') {
    if (proxy !== undefined) throw invalid('a proxy needs an endpoint of https://');
    if (authenticated && !isThisHost(endpoint)) throw invalid('credentials are not sent over http://');
  }
  if (options.credentialsFile !== undefined) await assertPrivate(options.credentialsFile);
  return { endpoint, proxy, authenticated, ca: await authorities(options.caFile) };
}

/** Custom metadata from `key=value`. @throws CONFIG_INVALID */
export function metadataOf(tags: readonly string[] = []): Readonly<Record<string, string>> {
  return Object.fromEntries(
    tags.map((tag) => {
      const equals = tag.indexOf('=');
      if (equals < 1) throw invalid(`${JSON.stringify(tag)} is not a tag of the form key=value`);
      return [tag.slice(0, equals), tag.slice(equals + 1)];
    }),
  );
}

function checkedUrl(what: string, text: string): URL {
  // The text is not repeated: a proxy's URL may hold a password.
  if (!URL.canParse(text)) throw invalid(`the ${what} is not a URL`);
  const url = new URL(text);
  if (!['http:', 'https:'].includes(url.protocol)) throw invalid(`the ${what} is not a URL of http:// or https://`);
  if (url.pathname !== '/' || url.search !== '') throw invalid(`the ${what} has a path`);
  return url;
}

function isGoogle({ hostname }: URL): boolean {
  return hostname === 'googleapis.com' || hostname.endsWith('.googleapis.com');
}

function isThisHost({ hostname }: URL): boolean {
  return ['localhost', '[::1]'].includes(hostname) || /^127(\.\d+){3}$/.test(hostname);
}

async function assertPrivate(path: string): Promise<void> {
  const { mode } = await stat(path).catch((error: unknown) => {
    throw unreadable('credentials_file', path, error);
  });
  if ((mode & OTHERS_BITS) !== 0) {
    throw invalid(`the credentials_file ${path} is open to every user of this host`, `run: chmod o= ${path}`);
  }
}

async function authorities(path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined;
  const pem = await readFile(path, 'utf8').catch((error: unknown) => {
    throw unreadable('ca_file', path, error);
  });
  try {
    new X509Certificate(pem);
  } catch (error) {
    throw new WaldenError('CONFIG_INVALID', `the ca_file ${path} holds no certificate in PEM`, { cause: error });
  }
  return pem;
}

function unreadable(key: string, path: string, error: unknown): WaldenError {
  return new WaldenError('CONFIG_INVALID', `unable to read the ${key} ${path} (${systemErrorCode(error) ?? '?'})`, {
    cause: error,
  });
}

function invalid(message: string, hint?: string): WaldenError {
  return new WaldenError('CONFIG_INVALID', message, hint === undefined ? {} : { hint });
}
