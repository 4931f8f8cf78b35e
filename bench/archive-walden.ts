import { NEAR } from '../test/support/catalog-rows.ts';
import { createWalden, type WaldenHarness } from '../test/support/walden.ts';

/** A service of a cluster that is elsewhere: its data directory cannot be read, as on a backup host of its own. */
export function createArchiveWalden(serviceWords: readonly string[] = []): WaldenHarness {
  return createWalden({
    clusters: { main: { dataDirectory: '/nonexistent/data', conninfo: 'host=/nonexistent' } },
    repositories: [NEAR],
    serviceWithin: () => serviceWords,
  });
}
