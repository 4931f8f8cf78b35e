import { open } from 'node:fs/promises';
import {
  AnonymousCredential,
  ContainerClient,
  StorageSharedKeyCredential,
  type StoragePipelineOptions,
} from '@azure/storage-blob';
import { systemErrorCode, WaldenError } from '../../src/errors.ts';
import { trusted, type Route } from './azure-agent.ts';
import type { AzureOptions } from './azure-options.ts';

/** Where a container is, and by what right it is used. */
export interface AzureAccess {
  /** May hold a SAS token: not for messages. */
  readonly url: string;
  readonly credential: ContainerClient['credential'];
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The first of: the file that the configuration names, AZURE_STORAGE_CONNECTION_STRING, AZURE_STORAGE_KEY,
 * AZURE_STORAGE_SAS_TOKEN, and whatever identity this host has.
 * @throws CONFIG_INVALID, without a secret
 */
export async function azureAccess(options: AzureOptions, route: Route, environment: Environment): Promise<AzureAccess> {
  const { connectionStringFile, keyFile, sasFile } = options;
  if ([connectionStringFile, keyFile, sasFile].filter((file) => file !== undefined).length > 1) {
    throw invalid('more than one of connection_string_file, key_file and sas_file is given', 'leave one of them');
  }
  if (connectionStringFile !== undefined) {
    return byConnectionString(await secretIn(connectionStringFile), connectionStringFile, options);
  }
  if (keyFile !== undefined) return byKey(await secretIn(keyFile), options);
  if (sasFile !== undefined) return bySas(await secretIn(sasFile), options);
  const connectionString = environment['AZURE_STORAGE_CONNECTION_STRING'] ?? '';
  if (connectionString !== '') {
    return byConnectionString(connectionString, 'AZURE_STORAGE_CONNECTION_STRING', options);
  }
  const key = environment['AZURE_STORAGE_KEY'] ?? '';
  if (key !== '') return byKey(key, options);
  const sas = environment['AZURE_STORAGE_SAS_TOKEN'] ?? '';
  if (sas !== '') return bySas(sas, options);
  return await byIdentity(options, route);
}

function byConnectionString(text: string, from: string, { container, account }: AzureOptions): AzureAccess {
  const client = clientOf(text, container);
  if (client === undefined) {
    throw invalid(`${from} holds no connection string of a storage account`, 'copy it whole, as Azure shows it');
  }
  if (account !== undefined && client.accountName !== account) {
    throw invalid(`${from} is of the account ${client.accountName}, not of ${account}`, 'correct one of them');
  }
  return { url: client.url, credential: client.credential };
}

function clientOf(connectionString: string, container: string): ContainerClient | undefined {
  try {
    return new ContainerClient(connectionString, container);
  } catch {
    // What it says may quote the key.
    return undefined;
  }
}

function byKey(key: string, options: AzureOptions): AzureAccess {
  if (options.account === undefined) throw invalid('account is missing: a key belongs to one', 'name the account');
  return { url: containerUrl(options).href, credential: new StorageSharedKeyCredential(options.account, key) };
}

function bySas(token: string, options: AzureOptions): AzureAccess {
  const url = containerUrl(options);
  url.search = token;
  return { url: url.href, credential: new AnonymousCredential() };
}

/** A managed identity, a workload identity, a service principal in the environment, or who is logged in with `az`. */
async function byIdentity(options: AzureOptions, { ca, proxy }: Route): Promise<AzureAccess> {
  const url = containerUrl(options);
  if (url.protocol !== 'https:') {
    throw invalid('endpoint is not https: no token is sent in the clear', 'use https, a key or a SAS token');
  }
  // Large, and seldom needed.
  const { DefaultAzureCredential } = await import('@azure/identity');
  const trust = trusted(ca);
  const credential = new DefaultAzureCredential({
    ...(trust === undefined ? {} : { tlsOptions: { ca: trust } }),
    ...(proxy === undefined ? {} : { proxyOptions: proxySettings(proxy) }),
  });
  return { url: url.href, credential };
}

function proxySettings(proxy: URL): NonNullable<StoragePipelineOptions['proxyOptions']> {
  return {
    host: `${proxy.protocol}//${proxy.hostname}`,
    port: Number(proxy.port === '' ? 80 : proxy.port),
    username: decodeURIComponent(proxy.username),
    password: decodeURIComponent(proxy.password),
  };
}

function containerUrl({ endpoint, account, container }: AzureOptions): URL {
  if (endpoint === undefined && account === undefined) {
    throw invalid('neither account nor endpoint is given', 'name the account');
  }
  const service = endpoint ?? `https://${account ?? ''}.blob.core.windows.net`;
  return webAddress(`${service.replace(/\/+$/, '')}/${encodeURIComponent(container)}`, 'endpoint');
}

/** @throws CONFIG_INVALID for what is no URL of HTTP; `key` names it, since it may hold a password. */
export function webAddress(text: string, key: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return url;
  throw invalid(`${key} is no URL`, `begin ${key} with http:// or https://`);
}

async function secretIn(path: string): Promise<string> {
  const { text, mode } = await contents(path);
  if ((mode & 0o007) !== 0) throw invalid(`${path} can be used by everybody on this host`, `chmod 600 ${path}`);
  const secret = text.trim();
  if (secret === '') throw invalid(`${path} is empty`, 'write the secret into it');
  return secret;
}

/** @throws CONFIG_INVALID */
export async function contents(path: string): Promise<{ readonly text: string; readonly mode: number }> {
  try {
    const file = await open(path);
    try {
      return { text: await file.readFile('utf8'), mode: (await file.stat()).mode };
    } finally {
      await file.close();
    }
  } catch (error) {
    throw invalid(`unable to read ${path} (${systemErrorCode(error) ?? 'no file'})`, 'correct its name or permissions');
  }
}

function invalid(message: string, hint: string): WaldenError {
  return new WaldenError('CONFIG_INVALID', message, { hint });
}
