import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { SqliteCatalog } from '../../../catalog/sqlite/sqlite-catalog.ts';
import type { CommandTarget, HookTopic, WebhookTarget } from '../../../src/config/config.ts';
import type { Clock } from '../../../src/platform/clock.ts';
import { EventLog, type NewEvent } from '../../../src/service/events/event-log.ts';
import { Hook } from '../../../src/service/hooks/hook.ts';
import { until } from '../../support/until.ts';

const SILENT = { info: () => undefined, warn: () => undefined, error: () => undefined };
const GAP: NewEvent = {
  kind: 'wal-gap',
  level: 'error',
  message: "cannot reach 'host=a password=hunter2'",
  subject: 's',
};
const REFUSED: NewEvent = { kind: 'wal-refused', level: 'error', message: 'refused', subject: 's' };

const ends: (() => unknown)[] = [];

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** A hook whose pauses take no time; their lengths are noted. */
function start(target: CommandTarget | WebhookTarget, on: readonly HookTopic[], timeoutSeconds = 60) {
  const catalog = SqliteCatalog.open(':memory:');
  const pauses: number[] = [];
  const clock: Clock = {
    now: () => new Date(),
    sleep: (milliseconds) => {
      pauses.push(milliseconds);
      return Promise.resolve();
    },
  };
  const events = new EventLog({ catalog, clock, log: SILENT });
  const hook = new Hook({ name: 'mine', on, target, timeoutSeconds }, { clock, log: SILENT, events });
  ends.push(
    () => catalog.close(),
    () => hook.stop(),
  );
  const kinds = async (): Promise<readonly string[]> => (await catalog.events({ limit: 100 })).map(({ kind }) => kind);
  return { catalog, events, pauses, kinds };
}

function command(...words: readonly string[]): CommandTarget {
  const [program = '', ...rest] = words;
  return { kind: 'command', program, words: rest };
}

async function listen(
  answer: (body: string) => number,
): Promise<{ readonly server: Server; readonly target: WebhookTarget }> {
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (text: string) => (body += text));
    request.on('end', () => {
      const status = answer(body);
      if (status > 0) response.writeHead(status, { location: '/elsewhere' }).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ends.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { server, target: { kind: 'webhook', url: `http://127.0.0.1:${port}/with/a/secret`, secretFile: undefined } };
}

describe('a hook', () => {
  it('is told of its topics only, in their order, without passwords', async () => {
    const bodies: string[] = [];
    const { target } = await listen((body) => {
      bodies.push(body);
      return 200;
    });
    const { events } = start(target, ['gap']);
    await events.record(REFUSED);
    for (const subject of ['1', '2', '3']) await events.record({ ...GAP, subject });
    await until(() => bodies.length === 3, { what: 'the events' });
    const told = bodies.map((body) => JSON.parse(body) as { readonly event: { readonly subject: string } });
    expect(told.map(({ event }) => event.subject)).toEqual(['1', '2', '3']);
    expect(bodies.join('')).not.toContain('hunter2');
  });

  it('tries six times with growing pauses, then says so, which is told to no hook', async () => {
    const asked: string[] = [];
    const { target } = await listen((body) => {
      asked.push(body);
      return 307;
    });
    const { events, kinds, pauses, catalog } = start(target, ['gap', 'failure']);
    await events.record(GAP);
    await until(async () => (await kinds()).includes('hook-failed'), { what: 'the failure' });
    expect(asked).toHaveLength(6);
    expect(pauses).toHaveLength(5);
    for (const [index, pause] of pauses.entries()) {
      expect(pause).toBeGreaterThanOrEqual(Math.min(60_000, 3000 * 2 ** index) / 2);
    }
    const [, failed] = await catalog.events({ limit: 10 });
    expect(failed?.message).toMatch(
      /^hook mine could not be told of event 1: http:\/\/127\.0\.0\.1:\d+ answered with status 307$/,
    );
    await events.record({ ...GAP, subject: 'another' });
    await until(() => asked.length === 12, { what: 'the next event' });
    expect((await kinds()).filter((kind) => kind === 'hook-failed').length).toBeLessThanOrEqual(2);
  });

  it('tells what a command wrote last, and kills one that takes too long with all that it started', async () => {
    const failing = start(
      command('/bin/sh', '-c', 'echo before >&2; echo "no route to password=hunter2" >&2; exit 3'),
      ['gap'],
    );
    await failing.events.record(GAP);
    await until(async () => (await failing.kinds()).includes('hook-failed'), { what: 'the failure' });
    const [, failed] = await failing.catalog.events({ limit: 10 });
    expect(failed?.message).toMatch(/: \/bin\/sh ended with status 3: no route to password=\[redacted\]$/);

    const slow = start(command('/bin/sh', '-c', 'sleep 1000 & wait'), ['gap'], 0.1);
    await slow.events.record(GAP);
    await until(async () => (await slow.kinds()).includes('hook-failed'), { what: 'the failure' });
    const [, killed] = await slow.catalog.events({ limit: 10 });
    expect(killed?.message).toContain('was killed: it took too long');
  });

  it('is no trouble where the program is not there, or does not read', async () => {
    const absent = start(command('/nowhere/at-all'), ['gap']);
    await absent.events.record(GAP);
    await until(async () => (await absent.kinds()).includes('hook-failed'), { what: 'the failure' });
    const deaf = start(command('/bin/true'), ['gap']);
    await deaf.events.record({ ...GAP, facts: { much: 'x'.repeat(1_000_000) } });
    await deaf.events.record(GAP);
    expect(await deaf.kinds()).toEqual(['wal-gap', 'wal-gap']);
  });
});
