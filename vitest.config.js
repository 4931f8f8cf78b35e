import { existsSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

// The tests run compiled (npm run build), since worker threads need real JavaScript files. What was compiled from a source
// that is gone by now must not run.
function compiledFromNothing() {
  if (!existsSync('dist/test')) return [];
  return readdirSync('dist/test', { recursive: true })
    .filter((file) => file.endsWith('.test.js') && !existsSync(join('test', file.replace(/\.js$/, '.ts'))))
    .map((file) => join('dist/test', file));
}

const report = process.env.WALDEN_TEST_REPORT;

export default defineConfig({
  cacheDir: join(tmpdir(), 'walden-vitest'),
  test: {
    include: ['dist/test/**/*.test.js'],
    exclude: ['**/node_modules/**', ...compiledFromNothing()],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    teardownTimeout: 30_000,
    reporters: report === undefined ? ['default'] : ['default', 'json'],
    ...(report === undefined ? {} : { outputFile: { json: report } }),
  },
});
