import { randomBytes } from 'node:crypto';
import { inspect } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { GcsDriver } from '../../storage-drivers/gcs/gcs-driver.ts';
import type { GcsOptions } from '../../storage-drivers/gcs/gcs-options.ts';
import { objectKey } from '../../storage-drivers/object-key.ts';
import { bodyOf, collect, keysOf, sha256Of, store, textOf } from '../support/bodies.ts';
import { newDirectory, removeDirectory } from '../support/sandbox.ts';
import { FakeGcs } from '../support/stores/fake-gcs.ts';
import { FakeProxy, FakeTokens, portOf, serviceAccountFile, workloadFile } from '../support/stores/fake-google.ts';
import { type GcsCertificates, gcsCertificates } from '../support/stores/gcs-certificates.ts';
import { BUCKET, KIB, openGcs, wrapped } from '../support/stores/gcs-setup.ts';

const KEY = objectKey('main/wal/one');
const TOKEN = 'the-token-nobody-may-see';
const PASSWORD = 'proxy-password-nobody-may-see';
const LARGE = randomBytes(600 * KIB);

let directory: string;
let certificates: GcsCertificates;
let others: GcsCertificates;

const cleaners: (() => Promise<void>)[] = [];

beforeAll(() => {
  directory = newDirectory('gcs');
  certificates = gcsCertificates(directory);
  others = gcsCertificates(newDirectory('gcs-others'));
});
afterAll(() => {
  removeDirectory(directory);
});
afterEach(async () => {
  for (const clean of cleaners.splice(0).reverse()) await clean();
});

async function startGcs(options: Parameters<typeof FakeGcs.start>[0] = {}): Promise<FakeGcs> {
  const fake = await FakeGcs.start(options);
  cleaners.push(() => fake.stop());
  fake.objects.addBucket(BUCKET);
  return fake;
}

async function open(...parameters: Parameters<typeof openGcs>): Promise<GcsDriver> {
  const driver = await openGcs(...parameters);
  cleaners.push(() => driver.close());
  return driver;
}

async function failureOf(work: Promise<unknown>): Promise<unknown> {
  return await work.then(
    () => undefined,
    (error: unknown) => error,
  );
}

/** Every kind of call. */
async function expectServed(driver: GcsDriver): Promise<void> {
  await store(driver, KEY, 'x');
  await driver.put(objectKey('large'), bodyOf(LARGE), { ifExists: 'fail' });
  expect(sha256Of(await collect(await driver.get(objectKey('large'))))).toBe(sha256Of(LARGE));
  expect(await keysOf(driver)).toEqual(['large', KEY]);
  await driver.remove(KEY);
}

describe('an endpoint that wants a token', () => {
  let fake: FakeGcs;
  let tokens: FakeTokens;

  beforeEach(async () => {
    fake = await startGcs({ token: TOKEN });
    tokens = await FakeTokens.start(TOKEN);
    cleaners.push(() => tokens.stop());
  });

  it('is served with a workload identity, whose token is asked for once', async () => {
    await expectServed(await open(fake.url, { credentialsFile: workloadFile(directory, tokens) }));
    expect(tokens.asked).toHaveLength(1);
  });

  it('denies who has none', async () => {
    const driver = await open(fake.url);
    const denied = { code: 'STORAGE_DENIED', hint: expect.stringContaining('credentials_file') as unknown };
    await expect(driver.stat(KEY)).rejects.toMatchObject(denied);
    await expect(store(driver, KEY, 'x')).rejects.toMatchObject(denied);
    await expect(driver.put(KEY, bodyOf(LARGE), { ifExists: 'fail' })).rejects.toMatchObject(denied);
    await expect(keysOf(driver)).rejects.toMatchObject(denied);
    await expect(driver.remove(KEY)).rejects.toMatchObject(denied);
    await expect(driver.get(KEY)).rejects.toMatchObject(denied);
  });

  it('denies who has a wrong one, and no error shows it', async () => {
    const wrong = await FakeTokens.start(`wrong-${TOKEN}`);
    cleaners.push(() => wrong.stop());
    const driver = await open(fake.url, { credentialsFile: workloadFile(directory, wrong) });
    const failure = await failureOf(driver.put(KEY, bodyOf(LARGE), { ifExists: 'fail' }));
    expect(failure).toMatchObject({ code: 'STORAGE_DENIED' });
    expect(inspect(failure, { depth: 20 })).not.toContain(TOKEN);
  });

  it('is served with a new token after one that was revoked', async () => {
    tokens.token = 'revoked';
    const driver = await open(fake.url, { credentialsFile: workloadFile(directory, tokens) });
    await expect(store(driver, KEY, 'x')).rejects.toMatchObject({ code: 'STORAGE_DENIED' });
    tokens.token = TOKEN;
    await store(driver, KEY, 'x');
  });

  it('says so when the token is refused for a clock or a key, and shows no secret', async () => {
    const body = { error: 'invalid_grant', error_description: 'The token is not yet valid.' };
    tokens.refusal = { status: 400, body };
    const driver = await open(fake.url, { credentialsFile: workloadFile(directory, tokens) });
    const failure = await failureOf(driver.stat(KEY));
    const hint = expect.stringContaining('clock') as unknown;
    const message = expect.stringContaining('not yet valid') as unknown;
    expect(failure).toMatchObject({ code: 'STORAGE_DENIED', hint, message });
    expect(inspect(failure, { depth: 20 })).not.toContain('a token of the workload');
    tokens.refusal = undefined;
    await store(driver, KEY, 'x');
  });

  it('is out of reach while there is nobody to give a token, and served after that', async () => {
    const driver = await open(fake.url, { credentialsFile: workloadFile(directory, tokens) });
    tokens.refusal = { status: 503, body: {} };
    await expect(driver.stat(KEY)).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
    tokens.refusal = undefined;
    await store(driver, KEY, 'x');
    expect(await textOf(driver, KEY)).toBe('x');
  });

  it('is given up by a deadline while the token does not come', async () => {
    const driver = await open(fake.url, { credentialsFile: workloadFile(directory, tokens) });
    tokens.refusal = 'hang';
    const bounded = wrapped(driver, { answerMs: 200, putMs: 200 }, 0);
    await expect(bounded.stat(KEY)).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
    await expect(driver.stat(KEY, { signal: AbortSignal.timeout(50) })).rejects.toMatchObject({ code: 'INTERRUPTED' });
  });

  it('is out of reach when nobody listens where tokens come from', async () => {
    const path = workloadFile(directory, tokens);
    await tokens.stop();
    tokens = await FakeTokens.start(TOKEN);
    const driver = await open(fake.url, { credentialsFile: path });
    await expect(driver.stat(KEY)).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
  });

  it('is denied by credentials that are none', async () => {
    const path = serviceAccountFile(directory, { private_key: 'no key' });
    const driver = await open(fake.url, { credentialsFile: path });
    await expect(driver.stat(KEY)).rejects.toMatchObject({ code: 'STORAGE_DENIED' });
  });
});

describe('Google itself, through a proxy', () => {
  const USER = `walden:${PASSWORD}`;
  let fake: FakeGcs;
  let tokens: FakeTokens;
  let proxy: FakeProxy;

  beforeEach(async () => {
    fake = await startGcs({ tls: certificates.tls, token: TOKEN });
    tokens = await FakeTokens.start(TOKEN, certificates.tls);
    cleaners.push(() => tokens.stop());
    const ports = { 'storage.googleapis.com:443': fake.port, 'www.googleapis.com:443': portOf(tokens.server) };
    proxy = await FakeProxy.start(ports, USER);
    cleaners.push(() => proxy.stop());
  });

  async function google(user: string, more: Parameters<typeof openGcs>[1] = {}): Promise<GcsDriver> {
    const path = serviceAccountFile(directory);
    const proxyUrl = proxy.url.replace('//', `//${user}@`);
    return await open(undefined, { proxy: proxyUrl, caFile: certificates.caFile, credentialsFile: path, ...more });
  }

  it('is served with a service account, and nothing goes past the proxy', async () => {
    await expectServed(await google(USER));
    expect(new Set(proxy.asked)).toEqual(new Set(['storage.googleapis.com:443', 'www.googleapis.com:443']));
    expect(tokens.asked).toHaveLength(1);
    expect(tokens.asked[0]).toContain('jwt-bearer');
  });

  it('is served through a proxy that is reached over TLS', async () => {
    const ports = { 'storage.googleapis.com:443': fake.port, 'www.googleapis.com:443': portOf(tokens.server) };
    const encrypted = await FakeProxy.start(ports, USER, certificates.tls);
    cleaners.push(() => encrypted.stop());
    await expectServed(await google(USER, { proxy: encrypted.url.replace('//', `//${USER}@`) }));
  });

  it('is denied by a revoked key, and no error shows key or assertion', async () => {
    tokens.refusal = { status: 400, body: { error: 'invalid_grant', error_description: 'Invalid JWT Signature.' } };
    const driver = await google(USER);
    const failure = await failureOf(store(driver, KEY, 'x'));
    expect(failure).toMatchObject({ code: 'STORAGE_DENIED', hint: expect.stringContaining('revoked') as unknown });
    const shown = inspect(failure, { depth: 20 });
    expect(shown).not.toContain('PRIVATE KEY');
    expect(shown).not.toContain(new URLSearchParams(tokens.asked[0]).get('assertion'));
  });

  it('is denied by a proxy that wants another password, which no error shows', async () => {
    const driver = await google(`walden:wrong-${PASSWORD}`);
    const failure = await failureOf(driver.stat(KEY));
    expect(failure).toMatchObject({ code: 'STORAGE_DENIED' });
    expect(inspect(failure, { depth: 20 })).not.toContain(PASSWORD);
  });

  it.each([
    ['a certificate of another authority', (): Partial<GcsOptions> => ({ caFile: others.caFile })],
    ['a certificate of another name', (): Partial<GcsOptions> => ({ endpoint: 'https://elsewhere.example' })],
  ])('trusts nobody with %s behind the proxy', async (_what, more) => {
    // A token that comes another way: it is the store that is not trusted.
    const local = await FakeTokens.start(TOKEN);
    cleaners.push(() => local.stop());
    const ports = { 'storage.googleapis.com:443': fake.port, 'elsewhere.example:443': fake.port };
    const direct = await FakeProxy.start(ports);
    cleaners.push(() => direct.stop());
    const credentialsFile = workloadFile(directory, local);
    const options = { proxy: direct.url, caFile: certificates.caFile, credentialsFile, ...more() };
    const driver = await open(undefined, options);
    const failure = { code: 'STORAGE_UNAVAILABLE', hint: expect.stringContaining('ca_file') as unknown };
    await expect(driver.stat(KEY)).rejects.toMatchObject(failure);
    expect(fake.asked).toEqual([]);
  });

  it('is out of reach behind a proxy that does not know the way, or is not there', async () => {
    const lost = await FakeProxy.start({ 'www.googleapis.com:443': portOf(tokens.server) });
    const driver = await open(undefined, {
      proxy: lost.url,
      caFile: certificates.caFile,
      credentialsFile: serviceAccountFile(directory),
    });
    await expect(driver.stat(KEY)).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
    await lost.stop();
    await expect(driver.stat(KEY)).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
  });
});

describe('open', () => {
  it('reaches nobody', async () => {
    await open('http://127.0.0.1:1');
  });
});
