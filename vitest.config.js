import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

// The tests run compiled (npm run build), since worker threads need real JavaScript files.
export default defineConfig({
  cacheDir: join(tmpdir(), 'walden-vitest'),
  test: {
    include: ['dist/test/**/*.test.js'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    teardownTimeout: 30_000,
    reporters: process.env.WALDEN_TEST_REPORT === undefined ? ['default'] : ['default', 'json'],
    ...(process.env.WALDEN_TEST_REPORT === undefined ? {} : { outputFile: { json: process.env.WALDEN_TEST_REPORT } }),
  },
});
