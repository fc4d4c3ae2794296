/** Closes a test run with one line, read from jest's JSON report: `node .ci/count.mjs <report.json>`. */
import { readFileSync } from 'node:fs';

const report = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8'));
const passed = report.numPassedTests;
// A file that could not even be loaded has no tests to count, and is a failure nevertheless.
const failed = report.numFailedTests + report.numRuntimeErrorTestSuites;
const skipped = report.numPendingTests + report.numTodoTests;
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
process.exitCode = passed > 0 && failed === 0 && skipped === 0 ? 0 : 1;
