// A directory for one run of the tests, in which they keep what initdb made (test/support/prepared-cluster.ts).
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export function setup() {
  process.env.WALDEN_TEST_CLUSTERS = mkdtempSync(join(tmpdir(), 'walden-clusters-'));
}

export function teardown() {
  rmSync(process.env.WALDEN_TEST_CLUSTERS, { recursive: true, force: true });
}
