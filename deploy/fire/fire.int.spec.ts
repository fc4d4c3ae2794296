/** A short round of the fault suite, as its own process, the way `npm run fire` starts it; ledger and tampering need no stack. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import { projectRoot } from '../local/environment.js';

const main = path.join(projectRoot(), 'dist/deploy/fire/fire.js');

function fire(...args: string[]): Promise<{ code: number | null; text: string }> {
  if (!existsSync(main)) throw new Error(`${main} is missing: compile first, as "npm test" does.`);
  return new Promise((resolve) => {
    // Not jest's own flags.
    const { NODE_OPTIONS: _, ...env } = process.env;
    const child = execFile(process.execPath, [main, '--short', ...args], { env }, (_error, text) => {
      resolve({ code: child.exitCode, text });
    });
  });
}

test('a round of faults leaves everything as it must be', async () => {
  const { code, text } = await fire('--only', 'ledger,tamper,crash,trees', '--topology', 'solo');
  expect({ code, failures: text.split('\n').filter((line) => line.includes('FAIL')) }).toEqual({
    code: 0,
    failures: [],
  });
  expect(text).toMatch(/^Seed \d+$/m);
  expect(text).toMatch(/\d+ {2}kill -9 of solo amid requests/);
  expect(text).toMatch(/had been carried out/);
}, 600_000);

test('schedulers that are killed and stopped lose no instant and double none', async () => {
  const { code, text } = await fire('--only', 'schedules');
  expect({ code, failures: text.split('\n').filter((line) => line.includes('FAIL')) }).toEqual({
    code: 0,
    failures: [],
  });
  expect(text).toMatch(/\d+ due, 0 missing/);
}, 600_000);

test('an unknown scenario is refused with the usage', async () => {
  const { code } = await fire('--only', 'peace');
  expect(code).not.toBe(0);
});
