import { cpSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import type { WriterListDocument } from '../../src/service/api-writers.ts';
import type { EventDocument } from '../../src/service/watch-api.ts';
import { startRestored, type TestServer } from './postgres-server.ts';
import { newDirectory } from './sandbox.ts';
import { until } from './until.ts';
import type { WaldenHarness } from './walden.ts';

/** A copy of the files of a server that was stopped, which keeps its archive_command; started beside it, without a signal. */
export async function startCopy(server: TestServer, to = join(newDirectory('copy'), 'data')): Promise<TestServer> {
  await server.stop();
  cpSync(server.dataDirectory, to, { recursive: true });
  await server.start();
  return await startRestored(to, { version: server.version });
}

export async function writersOf(walden: WaldenHarness): Promise<WriterListDocument> {
  return (await walden.json('cluster', 'writer', 'main')) as WriterListDocument;
}

/** `<timeline> <data directory>` of each, on this host. */
export async function writerPlaces(walden: WaldenHarness): Promise<readonly string[]> {
  const { writers } = await writersOf(walden);
  return writers.map(({ timeline, node }) => {
    if (node.host !== hostname()) throw new Error(`timeline ${timeline} is written on ${node.host}`);
    return `${timeline} ${node.dataDirectory}`;
  });
}

/** Waits until the server has heard this code from walden-push. */
export async function toldBy(server: TestServer, code: string): Promise<string> {
  return await until(
    async () =>
      new RegExp(`walden-push: .*\\(${code}\\)\\nwalden-push: .*|walden-push: .*\\(${code}\\)[^]*?HINT: .*`).exec(
        await server.log(),
      )?.[0],
    { what: `${code} in the log of PostgreSQL`, deadlineMs: 180_000, explain: () => server.log() },
  );
}

export async function eventsOf(walden: WaldenHarness, ...kinds: readonly string[]): Promise<readonly EventDocument[]> {
  const { events } = (await walden.json('events', 'main')) as { readonly events: readonly EventDocument[] };
  return events.filter(({ kind }) => kinds.includes(kind));
}

/** Waits for the newest event of one of these kinds to be of this one. */
export async function eventThat(walden: WaldenHarness, kind: string, among: readonly string[]): Promise<EventDocument> {
  return await until(
    async () => {
      const last = (await eventsOf(walden, ...among)).at(-1);
      return last?.kind === kind && last;
    },
    { what: `the event ${kind}`, deadlineMs: 180_000, explain: () => walden.log() },
  );
}

/** Changes the catalog under the service, as time or a loss of the catalog would. */
export function changeCatalog(walden: WaldenHarness, sql: string): void {
  const database = new Database(join(walden.stateDirectory, 'catalog.sqlite'), { timeout: 10_000 });
  try {
    database.exec(sql);
  } finally {
    database.close();
  }
}
