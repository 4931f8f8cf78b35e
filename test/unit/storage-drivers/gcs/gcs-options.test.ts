import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { checkedConnection, type GcsOptions, metadataOf } from '../../../../storage-drivers/gcs/gcs-options.ts';
import { newDirectory, removeDirectory } from '../../../support/sandbox.ts';
import { gcsCertificates } from '../../../support/stores/gcs-certificates.ts';
import { gcsOptions } from '../../../support/stores/gcs-setup.ts';

const INVALID = { code: 'CONFIG_INVALID' };

let directory: string;
let credentialsFile: string;

beforeEach(() => {
  directory = newDirectory('gcs-options');
  credentialsFile = join(directory, 'key.json');
  writeFileSync(credentialsFile, '{}', { mode: 0o600 });
  vi.stubEnv('GOOGLE_APPLICATION_CREDENTIALS', undefined);
});
afterEach(() => {
  vi.unstubAllEnvs();
  removeDirectory(directory);
});

async function authenticated(endpoint: string | undefined, more: Partial<GcsOptions> = {}): Promise<boolean> {
  return (await checkedConnection(gcsOptions(endpoint, more))).authenticated;
}

describe('a request to the store', () => {
  it.each([
    undefined,
    'https://storage.googleapis.com',
    'https://storage-vpc.p.googleapis.com',
    'https://googleapis.com',
  ])('always carries a token to Google (%s)', async (endpoint) => {
    expect(await authenticated(endpoint)).toBe(true);
  });

  it.each(['http://127.0.0.1:4443', 'https://storage.example', 'https://storage.googleapis.com.example'])(
    'carries one elsewhere only with credentials that are named (%s)',
    async (endpoint) => {
      expect(await authenticated(endpoint)).toBe(false);
      expect(await authenticated(endpoint, { credentialsFile })).toBe(true);
      vi.stubEnv('GOOGLE_APPLICATION_CREDENTIALS', credentialsFile);
      expect(await authenticated(endpoint)).toBe(true);
    },
  );

  it.each(['http://storage.googleapis.com', 'http://storage.example', 'http://127.example'])(
    'carries none in the clear over a network (%s)',
    async (endpoint) => {
      await expect(authenticated(endpoint, { credentialsFile })).rejects.toMatchObject(INVALID);
    },
  );
});

describe('what is configured', () => {
  it.each([
    ['no URL', { endpoint: 'storage.example' }],
    ['another protocol', { endpoint: 'ftp://storage.example' }],
    ['a path', { endpoint: 'https://storage.example/storage/v1' }],
    ['a proxy that is no URL', { proxy: 'walden:secret@proxy' }],
    ['a proxy on the way to what is not encrypted', { endpoint: 'http://storage.example', proxy: 'http://proxy:3128' }],
  ])('is refused: %s', async (_what, options) => {
    const refused = await checkedConnection(gcsOptions(undefined, options)).catch((error: unknown) => error);
    expect(refused).toMatchObject(INVALID);
    expect(String(refused)).not.toContain('secret');
  });

  it('is refused: credentials that everybody on the host can read', async () => {
    chmodSync(credentialsFile, 0o644);
    const hint = `run: chmod o= ${credentialsFile}`;
    await expect(authenticated(undefined, { credentialsFile })).rejects.toMatchObject({ ...INVALID, hint });
    chmodSync(credentialsFile, 0o640);
    expect(await authenticated(undefined, { credentialsFile })).toBe(true);
  });

  it.each(['credentialsFile', 'caFile'] as const)('is refused: a %s that is not there', async (name) => {
    const missing = { [name]: join(directory, 'none') };
    await expect(authenticated(undefined, missing)).rejects.toMatchObject(INVALID);
  });

  it('is refused: an authority that is no certificate', async () => {
    await expect(authenticated(undefined, { caFile: credentialsFile })).rejects.toMatchObject(INVALID);
    const { caFile } = gcsCertificates(directory);
    expect(await authenticated(undefined, { caFile })).toBe(true);
  });
});

describe('tags', () => {
  it('are keys and values', () => {
    expect(metadataOf(['a=b', 'c=d=e', 'f='])).toEqual({ a: 'b', c: 'd=e', f: '' });
    expect(metadataOf(undefined)).toEqual({});
  });

  it.each(['', '=', '=x', 'key'])('of another form are refused (%j)', (tag) => {
    expect(() => metadataOf([tag])).toThrow(expect.objectContaining(INVALID) as Error);
  });
});
