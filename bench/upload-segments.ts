import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ApiClient } from '../src/cli/api-client.ts';
import { clusterPath } from '../src/cli/api-paths.ts';
import { newDirectory, removeDirectory } from '../test/support/sandbox.ts';
import type { ArchiveShape } from './archive-shape.ts';
import { idleSegment } from './busy-segment.ts';

/** Has the service archive real segments that follow one another, each when the one before is durable. */
export async function uploadSegments(
  client: ApiClient,
  shape: ArchiveShape,
  { from, count }: { readonly from: number; readonly count: number },
): Promise<void> {
  const directory = newDirectory('segments');
  try {
    for (let position = from; position < from + count; position += 1) {
      const { name } = shape.row(position);
      const segment = idleSegment(shape, position);
      const file = join(directory, name);
      writeFileSync(file, segment);
      await client.upload(clusterPath('main', 'wal', name), file, segment.length);
    }
  } finally {
    removeDirectory(directory);
  }
}
