import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AnonymousCredential, StorageSharedKeyCredential } from '@azure/storage-blob';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type AzureAccess, azureAccess } from '../../../../storage-drivers/azure/azure-access.ts';
import { AzureDriver } from '../../../../storage-drivers/azure/azure-driver.ts';
import type { AzureOptions } from '../../../../storage-drivers/azure/azure-options.ts';
import { newDirectory, removeDirectory } from '../../../support/sandbox.ts';
import { NO_OPTIONS } from '../../../support/stores/azurite.ts';

const SECRET = Buffer.from('the key of the account').toString('base64');
const CONNECTION = `DefaultEndpointsProtocol=https;AccountName=other;AccountKey=${SECRET};EndpointSuffix=core.windows.net`;
const DIRECT = { ca: undefined, proxy: undefined };
const ACCOUNT: AzureOptions = { ...NO_OPTIONS, container: 'walden', account: 'mine' };
const URL_OF_MINE = 'https://mine.blob.core.windows.net/walden';

let directory: string;
beforeEach(() => {
  directory = newDirectory('access');
});
afterEach(() => {
  removeDirectory(directory);
});

function secretFile(content: string, mode = 0o600): string {
  const path = join(directory, 'secret');
  writeFileSync(path, content);
  chmodSync(path, mode);
  return path;
}

function access(
  changes: Partial<AzureOptions>,
  environment: Readonly<Record<string, string>> = {},
): Promise<AzureAccess> {
  return azureAccess({ ...ACCOUNT, ...changes }, DIRECT, environment);
}

describe('the credentials of an account', () => {
  const environment = {
    AZURE_STORAGE_CONNECTION_STRING: CONNECTION,
    AZURE_STORAGE_KEY: SECRET,
    AZURE_STORAGE_SAS_TOKEN: 'sv=1&sig=environment',
  };

  it('are those of the file, before any of the environment', async () => {
    const { url, credential } = await access({ keyFile: secretFile(`${SECRET}\n`) }, environment);
    expect(url).toBe(URL_OF_MINE);
    expect(credential).toBeInstanceOf(StorageSharedKeyCredential);
    const sas = await access({ sasFile: secretFile('?sv=1&sig=file\n') }, environment);
    expect(sas.url).toBe(`${URL_OF_MINE}?sv=1&sig=file`);
    expect(sas.credential).toBeInstanceOf(AnonymousCredential);
  });

  it('are, of the environment, the connection string, then the key, then the SAS token', async () => {
    const { url } = await access({ account: undefined }, environment);
    expect(url).toBe('https://other.blob.core.windows.net/walden');
    const { AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN } = environment;
    const byKey = await access({}, { AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN });
    expect(byKey.credential).toBeInstanceOf(StorageSharedKeyCredential);
    expect((await access({}, { AZURE_STORAGE_SAS_TOKEN })).url).toContain('sig=environment');
  });

  it('are else those of whatever identity this host has', async () => {
    const { url, credential } = await access({});
    expect(url).toBe(URL_OF_MINE);
    expect(credential.constructor.name).toBe('DefaultAzureCredential');
  });

  it('belong to the endpoint where one is given', async () => {
    const { url } = await access({ endpoint: 'https://blob.example.net:8443/mine/', keyFile: secretFile(SECRET) });
    expect(url).toBe('https://blob.example.net:8443/mine/walden');
  });
});

describe('credentials that cannot be used', () => {
  it.each<readonly [string, () => Promise<unknown>, RegExp]>([
    ['a file that others may read', () => access({ keyFile: secretFile(SECRET, 0o644) }), /everybody/],
    ['a file that is not there', () => access({ keyFile: join(directory, 'none') }), /ENOENT/],
    ['an empty file', () => access({ sasFile: secretFile('\n') }), /empty/],
    ['two files', () => access({ keyFile: secretFile(SECRET), sasFile: secretFile(SECRET) }), /key_file and sas_file/],
    ['a key without its account', () => access({ account: undefined, keyFile: secretFile(SECRET) }), /account/],
    ['neither account nor endpoint', () => access({ account: undefined }), /neither account nor endpoint/],
    ['text that is no connection string', () => access({ connectionStringFile: secretFile(SECRET) }), /no connection/],
    [
      'the connection string of another account',
      () => access({ connectionStringFile: secretFile(CONNECTION) }),
      /other/,
    ],
    ['an endpoint that is no URL', () => access({ endpoint: 'mine', keyFile: secretFile(SECRET) }), /endpoint/],
    ['an identity over HTTP', () => access({ endpoint: 'http://127.0.0.1:1/mine' }), /https/],
  ])('are told without a secret: %s', async (_, work, message) => {
    const error: unknown = await work().catch((error: unknown) => error);
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringMatching(message) as string });
    expect(JSON.stringify(error)).not.toContain(SECRET);
    expect(String(error)).not.toContain(SECRET);
  });
});

describe('opening', () => {
  it.each<readonly [string, Partial<AzureOptions>]>([
    ['a tag without a value', { tags: ['backup'] }],
    ['a proxy that is no URL', { proxy: 'somebody:secret@proxy' }],
    ['a ca_file that is not there', { caFile: '/nowhere/ca.pem' }],
  ])('refuses %s', async (_, changes) => {
    const opening = AzureDriver.open({ ...ACCOUNT, keyFile: secretFile(SECRET), ...changes }, { access: 'read-only' });
    await expect(opening).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    await expect(opening).rejects.not.toMatchObject({ message: expect.stringContaining('secret@') as string });
  });
});
