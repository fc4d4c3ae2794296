import { execFileSync } from 'node:child_process';
import { expect, test } from '@jest/globals';
import { formsOf } from './forms.js';
import { redacted } from './redactor.js';
import { Words } from './words.js';

const multiline =
  '-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n-----END KEY-----\n';
const secret = 'tök"en\' $HOME/back\\slash';
const words = new Words(formsOf([secret, multiline]));
const run = (line: string, value = secret) =>
  execFileSync('/bin/sh', ['-c', line], { env: { PATH: process.env.PATH, S: value, LC_ALL: 'C.UTF-8' } }).toString();

test.each([
  ['base64', 'printf %s "$S" | base64'],
  ['base64 of a header', 'printf %s "user:$S" | base64 -w0'],
  ['export -p', "export -p | grep 'S='"],
  ['xtrace', 'set -x; { : "$S"; } 2>&1'],
  ['an error', 'ls "$S" 2>&1 || true'],
])('%s', (_name, line) => {
  const text = run(line);
  const left = redacted(words, text);
  expect(left).toContain('***');
  for (const piece of ['back', 'YmFjay', 'JhY2tc', 'iYWNrX']) expect(left).not.toContain(piece);
});

test('lines of a longer one, each after a stamp of its own, and its base64 in lines', () => {
  const stamped = redacted(words, run(`printf %s "$S" | sed 's/^/12:00 /'`, multiline));
  expect(stamped.match(/^12:00 \*\*\*$/gm)).toHaveLength(4);
  expect(redacted(words, run('printf %s "$S" | base64', multiline)).replace(/[*\n]/g, '')).toBe('');
});
