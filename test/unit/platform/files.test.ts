import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { syncAncestors } from '../../../src/platform/files.ts';
import { newDirectory } from '../../support/sandbox.ts';

describe('syncAncestors', () => {
  it('makes the names above a path durable, whoever owns them', async () => {
    await expect(syncAncestors(join(newDirectory('files'), 'below'))).resolves.toBeUndefined();
  });

  // As autofs, below which shares are mounted.
  it.skipIf(!existsSync('/proc/self/task'))('passes over what cannot be synced at all', async () => {
    await expect(syncAncestors('/proc/self/task/x')).resolves.toBeUndefined();
  });

  it('tells of a directory that is not there', async () => {
    await expect(syncAncestors(join(newDirectory('files'), 'absent', 'below'))).rejects.toMatchObject({
      code: 'ENOENT',
    });
  });
});
