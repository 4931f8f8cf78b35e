import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AzureDriver } from '../../../../storage-drivers/azure/azure-driver.ts';
import type { StorageDriver } from '../../../../storage-drivers/driver.ts';
import { objectKey } from '../../../../storage-drivers/object-key.ts';
import { driverWithDeadlines } from '../../../../storage-drivers/with-deadline.ts';
import { bodyOf, collect, keysOf } from '../../../support/bodies.ts';
import { type AnsweringServer, startAnswering } from '../../../support/stores/azure-answers.ts';
import { until } from '../../../support/until.ts';

const KEY = objectKey('main/one');

let server: AnsweringServer;
let driver: AzureDriver;

beforeEach(async () => {
  server = await startAnswering();
  driver = await AzureDriver.open(server.options, { access: 'read-write' }, { singlePutBytes: 4, partBytes: 4 });
});
afterEach(async () => {
  await driver.close();
  await server.stop();
});

async function hungUp(): Promise<void> {
  await until(async () => (await server.connections()) === 0, {
    what: 'every connection to be closed',
  });
}

function calls(of: StorageDriver, signal?: AbortSignal): readonly Promise<unknown>[] {
  return [
    of.stat(KEY, { signal }),
    of.get(KEY, { signal }),
    of.remove(KEY, { signal }),
    collect(of.list('', { signal })),
    of.put(KEY, bodyOf('x'), { ifExists: 'replace', signal }),
    of.put(KEY, bodyOf('in several parts'), { ifExists: 'replace', signal }),
  ];
}

describe('a store that never answers', () => {
  it('is out of reach once the deadline has passed, and its connections are closed', async () => {
    const impatient = driverWithDeadlines(driver, { answerMs: 50, putMs: 50 });
    const late = { code: 'STORAGE_UNAVAILABLE' };
    await Promise.all(calls(impatient).map((call) => expect(call).rejects.toMatchObject(late)));
    await hungUp();
  });

  it('is left at once when the signal aborts, and nothing goes on', async () => {
    const mine = new AbortController();
    const waiting = calls(driver, mine.signal).map((call) =>
      expect(call).rejects.toMatchObject({ code: 'INTERRUPTED' }),
    );
    // Four parts are on their way beside the five other calls.
    await until(() => server.requests.length === 9, { what: 'every request to arrive' });
    mine.abort();
    await Promise.all(waiting);
    await hungUp();
    expect(server.requests).toHaveLength(9);
  });
});

describe('a listing', () => {
  const page = (names: readonly string[], next = ''): string =>
    `<?xml version="1.0"?><EnumerationResults><Blobs>${names
      .map((name) => `<Blob><Name>${name}</Name><Properties><Content-Length>1</Content-Length></Properties></Blob>`)
      .join('')}</Blobs><NextMarker>${next}</NextMarker></EnumerationResults>`;

  it('that is not in order is no listing', async () => {
    server.answer = () => ({ status: 200, body: page(['a/b', 'a.b']) });
    const listing = keysOf(driver);
    await expect(listing).rejects.toMatchObject({
      code: 'STORAGE_UNAVAILABLE',
      message: expect.stringContaining('out of order') as string,
    });
  });

  it('begins at the key behind which it is wanted, where that is below the prefix', async () => {
    server.answer = () => ({ status: 200, body: page(['wal/2', 'wal/3']) });
    const behind: string[] = [];
    for await (const { key } of driver.list('wal/', { after: objectKey('wal/2') })) behind.push(key);
    expect(behind).toEqual(['wal/3']);
    expect(server.requests.at(-1)).toContain('startFrom=wal%2F2');
    for await (const { key } of driver.list('wal/', { after: objectKey('base/9') })) behind.push(key);
    expect(server.requests.at(-1)).not.toContain('startFrom');
    expect(behind).toEqual(['wal/3', 'wal/2', 'wal/3']);
  });

  it('goes on with an empty page between others', async () => {
    const pages = [page(['a'], 'one'), page([], 'two'), page(['b'])];
    server.answer = () => ({ status: 200, body: pages.shift() ?? page([]) });
    expect(await keysOf(driver)).toEqual(['a', 'b']);
  });
});
