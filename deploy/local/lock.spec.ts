import { afterAll, beforeEach, expect, test } from '@jest/globals';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { lockDataDir } from './lock.js';
import { identify } from './processes.js';

const root = mkdtempSync(path.join(os.tmpdir(), 'runledger-lock-'));
const file = path.join(root, 'data/lock');

beforeEach(() => {
  rmSync(path.dirname(file), { recursive: true, force: true });
  mkdirSync(path.dirname(file));
});
afterAll(() => rmSync(root, { recursive: true }));

test('a second start is told who holds the folder, until it is released', () => {
  const lock = lockDataDir(path.dirname(file));
  expect(() => lockDataDir(path.dirname(file))).toThrow(
    `already runs on ${path.dirname(file)} (process ${process.pid})`,
  );
  lock.release();
  expect(existsSync(file)).toBe(false);
  lockDataDir(path.dirname(file)).release();
});

test.each([
  ['a process that is gone', JSON.stringify({ pid: 4_194_304, started: 'x/1' })],
  ['a process whose number was used again', JSON.stringify({ ...identify(process.pid), started: 'another boot/1' })],
  ['nobody, by an empty file', ''],
])('a stale lock is taken over: %s', (_, text) => {
  writeFileSync(file, text);
  const lock = lockDataDir(path.dirname(file));
  expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ pid: process.pid });
  lock.release();
});
