import type { Catalog, ClusterName, WalFileRecord } from '../../catalog/catalog.ts';
import { compareListings } from '../repository/compare-listings.ts';
import { walPrefix } from '../repository/keys.ts';
import type { Repository } from '../repository/repository.ts';

/**
 * Segments that the catalog knows and the listing of the repository does not show: all of them, however few are read. Those
 * that came while it was listed may be among them: whoever asks looks at each.
 */
export async function* missingSegments(
  catalog: Catalog,
  cluster: ClusterName,
  { name, driver }: Repository,
  signal: AbortSignal,
): AsyncGenerator<WalFileRecord> {
  const known = wholeSegments(catalog.walFiles(name, cluster));
  for await (const { info, there } of compareListings(known, driver.list(walPrefix(cluster), { signal }))) {
    if (there === undefined) yield info;
  }
}

/** Only of these the order of the names is that of the keys. */
async function* wholeSegments(files: AsyncIterable<WalFileRecord>): AsyncGenerator<WalFileRecord> {
  for await (const file of files) if (file.kind === 'segment') yield file;
}
