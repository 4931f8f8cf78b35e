import { existsSync, readdirSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';
import { LongestFirst } from './scripts/longest-first.mjs';

// The tests run compiled (npm run build), since worker threads need real JavaScript files. What was compiled from a source
// that is gone by now must not run.
function compiledFromNothing() {
  if (!existsSync('dist/test')) return [];
  return readdirSync('dist/test', { recursive: true })
    .filter((file) => file.endsWith('.test.js') && !existsSync(join('test', file.replace(/\.js$/, '.ts'))))
    .map((file) => join('dist/test', file));
}

// Against real stores of somebody's own, which their variables name.
const live = Object.keys(process.env).some((name) => /^WALDEN_TEST_(S3|AZURE|GCS|SFTP)_/.test(name));
const report = process.env.WALDEN_TEST_REPORT;

export default defineConfig({
  cacheDir: join(tmpdir(), 'walden-vitest'),
  test: {
    include: ['dist/test/**/*.test.js'],
    exclude: ['**/node_modules/**', ...(live ? [] : ['dist/test/live/**']), ...compiledFromNothing()],
    pool: 'forks',
    // Many tests wait for a server, a deadline or a child most of the time.
    maxWorkers: Math.min(2 * availableParallelism(), 16),
    globalSetup: ['scripts/prepared-clusters.mjs'],
    sequence: { sequencer: LongestFirst },
    // Only for what hangs: a machine that is busy with other things must fail no test.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    teardownTimeout: 30_000,
    reporters: report === undefined ? ['default'] : ['default', 'json'],
    ...(report === undefined ? {} : { outputFile: { json: report } }),
  },
});
