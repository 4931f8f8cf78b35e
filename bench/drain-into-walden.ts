import type { TestServer } from '../test/support/postgres-server.ts';
import { removeDirectory } from '../test/support/sandbox.ts';
import { createWalden, type WaldenOptions } from '../test/support/walden.ts';
import type { Figures } from './report.ts';
import { drain } from './wal-source.ts';

/** Archives what is ready into a Walden of its own, at this zstd level. */
export async function drainIntoWalden(
  server: TestServer,
  level: number,
  repositories: Pick<WaldenOptions, 'repositories' | 'stores'> = {},
): Promise<Figures> {
  const clusterSettings = [`wal_compression_level = ${level}`];
  const walden = createWalden({ clusters: { main: server }, clusterSettings, ...repositories });
  await walden.start();
  try {
    const { archiveCommand } = await walden.commandSettings();
    return await drain(server, archiveCommand, (_words, pid) => (pid === walden.pid ? 'own' : undefined));
  } finally {
    await walden.stop();
    removeDirectory(walden.directory);
  }
}
