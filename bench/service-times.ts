import { subscribe } from 'node:diagnostics_channel';
import { openSync, writeSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';
import { SqliteCatalog } from '../catalog/sqlite/sqlite-catalog.ts';

/**
 * Loaded into a service before its program (`node --import`): writes how long each handler of a request and each recording of
 * a WAL file takes inside, a line each, into the file that WALDEN_BENCH_TIMES names.
 */
interface Handled {
  readonly request: object;
  readonly route: { readonly method: string; readonly url: string };
}

const path = process.env['WALDEN_BENCH_TIMES'];
if (isMainThread && path !== undefined) watch(openSync(path, 'a'));

function watch(file: number): void {
  const begun = new WeakMap<object, number>();
  const note = (what: string, begin: number): void => {
    writeSync(file, `${what}\t${performance.now() - begin}\n`);
  };
  subscribe('tracing:fastify.request.handler:start', (message) => {
    begun.set((message as Handled).request, performance.now());
  });
  // The answer has been made into text by then.
  subscribe('tracing:fastify.request.handler:asyncEnd', (message) => {
    const { request, route } = message as Handled;
    note(`${route.method} ${route.url}`, begun.get(request) ?? Number.NaN);
  });
  // eslint-disable-next-line @typescript-eslint/unbound-method -- called with its own catalog below
  const { recordWalFile } = SqliteCatalog.prototype;
  SqliteCatalog.prototype.recordWalFile = async function (row) {
    const begin = performance.now();
    const outcome = await recordWalFile.call(this, row);
    note('recordWalFile', begin);
    return outcome;
  };
}
