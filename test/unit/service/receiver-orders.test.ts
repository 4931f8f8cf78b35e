import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseMicros } from '../../../src/postgres/timestamp.ts';
import { clusterName } from '../../../src/repository/names.ts';
import { NO_ORDERS, ReceiverOrderFile } from '../../../src/service/receiver-orders.ts';

const SINCE = parseMicros('2026-11-22T12:00:00.123456Z');

describe('the orders of a receiver', () => {
  let directory: string;
  let file: ReceiverOrderFile;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'walden-orders-'));
    file = new ReceiverOrderFile(directory, clusterName('main'));
  });
  afterEach(() => {
    rmSync(directory, { recursive: true });
  });

  it('are none where nothing was ordered', async () => {
    expect(await file.read()).toEqual(NO_ORDERS);
  });

  it.each([
    NO_ORDERS,
    { stoppedAt: SINCE, follows: undefined },
    { stoppedAt: undefined, follows: { conninfo: `host='a b'`, since: SINCE } },
    { stoppedAt: SINCE, follows: { conninfo: 'host=db2', since: SINCE } },
  ])('are read as they were written: %j', async (orders) => {
    await file.write({ stoppedAt: SINCE, follows: { conninfo: 'earlier', since: SINCE } });
    await file.write(orders);
    expect(await file.read()).toEqual(orders);
    expect(readdirSync(dirname(file.path))).toEqual(['main.json']);
  });

  it.each([
    '',
    '{',
    '{}',
    'null',
    '{"format":2}',
    '{"format":1,"stoppedAt":7}',
    '{"format":1,"follows":{"conninfo":"x"}}',
  ])('are not guessed from %j', async (text) => {
    mkdirSync(dirname(file.path));
    writeFileSync(file.path, text);
    await expect(file.read()).rejects.toMatchObject({ code: 'FORMAT_INVALID' });
  });
});
