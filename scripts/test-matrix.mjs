// Runs the suites on real servers for one version of PostgreSQL after the other: node scripts/test-matrix.mjs [WORD…]
//
// With words, only the files whose path has one of them. WALDEN_TEST_VERSIONS says for which versions; all by default.
// With WALDEN_MATRIX_REPORTS, vitest's JSON report of each is kept in that directory, as VERSION.json. Ends with one line
// per version; status 1 unless all held.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';

const ALL = '13,14,15,16,17,18';
const scripts = dirname(fileURLToPath(import.meta.url));

/** The compiled test files that depend on the version, and are meant by the words if there are any. */
function suites(words) {
  const files = readdirSync('dist/test', { recursive: true })
    .filter((file) => file.endsWith('.test.js'))
    .map((file) => join('dist/test', file))
    .filter((file) => readFileSync(file, 'utf8').includes('support/tested-versions.'));
  const meant = files.filter((file) => words.length === 0 || words.some((word) => file.includes(word)));
  if (meant.length === 0) throw new Error('there is no such test file that imports test/support/tested-versions.ts');
  return meant.sort();
}

function run(command, parameters, more) {
  const { status, stdout, error } = spawnSync(command, parameters, { encoding: 'utf8', ...more });
  if (error !== undefined) throw error;
  return { status, stdout };
}

/** @returns the line that tells how it went, and whether all was well */
function test(version, files, report) {
  console.log(`\n== PostgreSQL ${version}`);
  const started = performance.now();
  const env = { ...process.env, WALDEN_TEST_VERSIONS: version, WALDEN_TEST_REPORT: report };
  const tests = run('vitest', ['run', '--configLoader', 'native', ...files], { stdio: 'inherit', env });
  const seconds = Math.round((performance.now() - started) / 1000);
  const count = run(process.execPath, [join(scripts, 'count-tests.mjs'), report]);
  const line = `PostgreSQL ${version}: ${count.stdout.trimEnd().split('\n').join(', ')} in ${seconds} s`;
  return { line, sound: tests.status === 0 && count.status === 0 };
}

const temporary = mkdtempSync(join(tmpdir(), 'walden-matrix-'));
try {
  const reports = process.env.WALDEN_MATRIX_REPORTS ?? temporary;
  const files = suites(process.argv.slice(2));
  const outcomes = (process.env.WALDEN_TEST_VERSIONS ?? ALL)
    .split(',')
    .map((version) => test(version, files, join(reports, `${version}.json`)));
  console.log(`\n${outcomes.map(({ line }) => line).join('\n')}`);
  process.exitCode = outcomes.every(({ sound }) => sound) ? 0 : 1;
} finally {
  rmSync(temporary, { recursive: true, force: true });
}
