// Runs the suites on real servers for each version of PostgreSQL, two at a time: node scripts/test-matrix.mjs [WORD…]
//
// With words, only the files whose path has one of them. WALDEN_TEST_VERSIONS says for which versions; all by default.
// With WALDEN_MATRIX_REPORTS, vitest's JSON report of each is kept in that directory, as VERSION.json. Ends with one line
// per version; status 1 unless all held.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';

const ALL = '13,14,15,16,17,18';
const SIDE_BY_SIDE = 2;
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

/** Resolves with its exit status and what it said, in one piece: two of them speak at a time. */
function run(command, parameters, env) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, parameters, { stdio: ['ignore', 'pipe', 'pipe'], env });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        output += text;
      });
    }
    child.once('error', reject);
    child.once('close', (status) => {
      resolve({ status, output });
    });
  });
}

function count(report) {
  const { status, stdout } = spawnSync(process.execPath, [join(scripts, 'count-tests.mjs'), report], {
    encoding: 'utf8',
  });
  return { status, line: stdout.trimEnd().split('\n').join(', ') };
}

/** @returns the line that tells how it went, and whether all was well */
async function test(version, files, report) {
  console.log(`PostgreSQL ${version} begins`);
  const started = performance.now();
  const env = { ...process.env, WALDEN_TEST_VERSIONS: version, WALDEN_TEST_REPORT: report };
  // As many as one run has, for all.
  const workers = Math.max(2, Math.min(availableParallelism(), 8));
  const tests = await run('vitest', ['run', '--configLoader', 'native', '--maxWorkers', `${workers}`, ...files], env);
  const seconds = Math.round((performance.now() - started) / 1000);
  console.log(`\n== PostgreSQL ${version}\n${tests.output}`);
  const counted = count(report);
  const line = `PostgreSQL ${version}: ${counted.line} in ${seconds} s`;
  return { line, sound: tests.status === 0 && counted.status === 0 };
}

async function testAll(versions, files, reports) {
  const left = [...versions.entries()];
  const outcomes = [];
  const worker = async () => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) {
      const [index, version] = next;
      outcomes[index] = await test(version, files, join(reports, `${version}.json`));
    }
  };
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, worker));
  return outcomes;
}

const temporary = mkdtempSync(join(tmpdir(), 'walden-matrix-'));
try {
  const reports = process.env.WALDEN_MATRIX_REPORTS ?? temporary;
  const files = suites(process.argv.slice(2));
  const outcomes = await testAll((process.env.WALDEN_TEST_VERSIONS ?? ALL).split(','), files, reports);
  console.log(`\n${outcomes.map(({ line }) => line).join('\n')}`);
  process.exitCode = outcomes.every(({ sound }) => sound) ? 0 : 1;
} finally {
  rmSync(temporary, { recursive: true, force: true });
}
