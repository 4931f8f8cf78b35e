// Reads vitest's JSON reports, names what failed and ends with the line `N passed, N failed`, of all: node scripts/count-tests.mjs REPORT…
// Exit status 1 when anything failed. A file that could not be loaded counts as one failure, and so does a report that is
// not there or in which nothing passed: a run that did not happen must not look like one in which nothing failed.
import { readFileSync } from 'node:fs';

// Of each failed test: enough to know what went wrong when only the end of the run's output is at hand.
const MESSAGE_LENGTH = 2000;

function count(path) {
  try {
    const report = JSON.parse(readFileSync(path, 'utf8'));
    const broken = report.testResults.filter(
      (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
    );
    for (const file of broken) console.log(`could not run: ${file.name}: ${file.message}`);
    for (const file of report.testResults) {
      for (const test of file.assertionResults.filter(({ status }) => status === 'failed')) {
        console.log(
          `failed: ${file.name}: ${test.fullName}\n${test.failureMessages.join('\n').slice(0, MESSAGE_LENGTH)}`,
        );
      }
    }
    const failed = report.numFailedTests + broken.length;
    if (report.numPassedTests + failed === 0) throw new Error(`no test ran: ${path}`);
    return { passed: report.numPassedTests, failed, skipped: report.numPendingTests };
  } catch (error) {
    console.log(`no report of the tests: ${error.message}`);
    return { passed: 0, failed: 1, skipped: 0 };
  }
}

const counts = process.argv.slice(2).map(count);
const sum = (key) => counts.reduce((total, one) => total + one[key], 0);
if (sum('skipped') > 0) console.log(`${sum('skipped')} skipped`);
console.log(`${sum('passed')} passed, ${sum('failed')} failed`);
process.exitCode = sum('failed') > 0 || sum('passed') === 0 ? 1 : 0;
