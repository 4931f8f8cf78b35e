// Reads vitest's JSON report and ends with the line `N passed, N failed`: node scripts/count-tests.mjs REPORT
// Exit status 1 when anything failed or nothing ran. A file that could not be loaded counts as one failure.
import { readFileSync } from 'node:fs';

function read(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    console.log(`no report of the tests: ${error.message}`);
    return { numPassedTests: 0, numFailedTests: 0, numPendingTests: 0, testResults: [] };
  }
}

const report = read(process.argv[2]);
const broken = report.testResults.filter(
  (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
);
for (const file of broken) console.log(`could not run: ${file.name}: ${file.message}`);
if (report.numPendingTests > 0) console.log(`${report.numPendingTests} skipped`);
const failed = report.numFailedTests + broken.length;
console.log(`${report.numPassedTests} passed, ${failed} failed`);
process.exitCode = failed > 0 || report.numPassedTests === 0 ? 1 : 0;
