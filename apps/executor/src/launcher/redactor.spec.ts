import { expect, test } from '@jest/globals';
import { randomBytes, randomInt } from 'node:crypto';
import { formsOf } from './forms.js';
import { redacted, Redactor } from './redactor.js';
import { Words } from './words.js';

/** What it is to come to, the slow way: mark every byte of every occurrence, and replace each unbroken stretch. */
function reference(words: readonly Buffer[], text: Buffer): Buffer {
  const marked = new Uint8Array(text.length);
  for (const word of words) {
    for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + 1)) marked.fill(1, at, at + word.length);
  }
  const kept: Buffer[] = [];
  for (let at = 0; at < text.length;) {
    let end = at;
    while (end < text.length && marked[end] === marked[at]) end++;
    kept.push(marked[at] ? Buffer.from('***') : text.subarray(at, end));
    at = end;
  }
  return Buffer.concat(kept);
}

/** Cut at these places, each piece in memory that is overwritten after the call. */
function streamed(words: Words, text: Buffer, cuts: readonly number[]): Buffer {
  const kept: Buffer[] = [];
  const redactor = new Redactor(words, (data) => void kept.push(Buffer.from(data)));
  const places = [0, ...[...cuts].sort((a, b) => a - b), text.length];
  places.slice(1).forEach((end, i) => {
    const piece = Buffer.from(text.subarray(places[i], end));
    redactor.push(piece);
    piece.fill(0);
  });
  redactor.end();
  return Buffer.concat(kept);
}

const pick = <T>(from: readonly T[]): T => from[randomInt(from.length)]!;
const many = <T>(count: number, make: () => T): T[] => Array.from({ length: count }, make);

test('random words in random texts cut at random places: what the slow way comes to', () => {
  for (let round = 0; round < 2_000; round++) {
    // Few letters, so that words overlap, begin within each other and repeat themselves.
    const letters = pick(['ab', 'abc', 'xyzw']);
    const word = () => Buffer.from(many(randomInt(2, 9), () => pick([...letters])).join(''));
    const words = many(randomInt(1, 6), word);
    const parts = many(randomInt(0, 30), () =>
      randomInt(3) === 0 ? pick(words) : Buffer.from(pick([...letters, '-', '.'])),
    );
    const text = Buffer.concat(parts);
    const cuts = many(randomInt(0, 12), () => randomInt(0, text.length + 1));
    const seen = streamed(new Words(words), text, cuts).toString();
    expect({ words: String(words), text: String(text), cuts, seen }).toEqual({
      ...{ words: String(words), text: String(text), cuts },
      seen: reference(words, text).toString(),
    });
  }
});

test('random bytes, and a cut after every one', () => {
  const words = many(20, () => randomBytes(randomInt(6, 40)));
  const text = Buffer.concat(many(200, () => (randomInt(2) ? pick(words) : randomBytes(randomInt(50)))));
  const everywhere = Array.from({ length: text.length }, (_, at) => at);
  for (const cuts of [everywhere, []]) {
    expect(streamed(new Words(words), text, cuts).equals(reference(words, text))).toBe(true);
  }
});

test('nothing is held back that no word begins with, and what is held is no longer than it must be', () => {
  const kept: string[] = [];
  const redactor = new Redactor(new Words([Buffer.from('secret')]), (data) => void kept.push(data.toString()));
  redactor.push(Buffer.from('a prompt: '));
  redactor.push(Buffer.from('sec'));
  redactor.push(Buffer.from('ond sesec'));
  expect(kept.join('|')).toBe('a prompt: |second se');
  redactor.push(Buffer.from('ret'));
  expect(kept.at(-1)).toBe('***');
  redactor.push(Buffer.from(' secre'));
  redactor.end();
  expect(kept.join('')).toBe('a prompt: second se*** secre');
});

const multiline =
  '-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n-----END KEY-----\n';
const characters = [...'abcXYZ0189', ...'!"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~', ' ', 'ä', '€', '🐘', '\t'];
const secrets = [
  ...['hunter2!', 'p@ss word/+=', 'it\'s "quoted"', 'naïve-ключ-🔑', 'sk_live_51H8x', 'a\\b$c`d', multiline],
  ...many(23, () => `s${many(randomInt(5, 60), () => pick(characters)).join('')}x`),
];

/** By other means than the product's own. */
const encodings: Record<string, (secret: string) => string> = {
  plain: (secret) => secret,
  json: (secret) => JSON.stringify({ log: `before ${secret} after` }),
  url: (secret) => `https://x/?q=${encodeURIComponent(secret)}&z=1`,
  form: (secret) => new URLSearchParams({ q: secret }).toString(),
  'base64, at the start': (secret) => Buffer.from(secret).toString('base64'),
  'base64, one byte in': (secret) => Buffer.from(`:${secret}:`).toString('base64'),
  'base64, two bytes in': (secret) => Buffer.from(`u:${secret}`).toString('base64'),
  'a word of a shell': (secret) => `'${secret.replaceAll("'", `'\\''`)}'`,
};

/** What a secret is in a text, if it can be read off it at all. */
function readable(text: string, secret: string): boolean {
  const bytes = (from: number) => Buffer.from(text.slice(from).replace(/[^\w+/]/g, ''), 'base64');
  const decoded = [0, 1, 2, 3].map((from) => bytes(from).toString('latin1'));
  const middle = Buffer.from(secret).subarray(2, -2).toString('latin1');
  return text.includes(secret) || decoded.some((each) => each.includes(middle));
}

test.each(Object.entries(encodings))('%s: no secret is left, wherever it is cut', (_name, encode) => {
  const words = new Words(formsOf(secrets));
  for (const secret of secrets) {
    const text = `$ echo\n${encode(secret)}\nend`;
    const bytes = Buffer.from(text);
    expect(readable(text, secret) || encode !== encodings.plain).toBe(true);
    for (const cuts of [[], ...many(5, () => many(3, () => randomInt(bytes.length)))]) {
      const left = streamed(words, bytes, cuts).toString();
      expect([secret, left.includes('***'), readable(left, secret), left.includes(encode(secret))]).toEqual([
        ...[secret, true, false],
        false,
      ]);
      expect(left.startsWith('$ echo\n') && left.endsWith('\nend')).toBe(true);
    }
  }
});

test('short values and their encodings stay', () => {
  expect(formsOf(['dev', '', 'on', '12345', 'a\nb\nc'])).toEqual([]);
  expect(redacted(new Words(formsOf(['dev', 'secret'])), 'dev device secret')).toBe('dev device ***');
});

test('linear, whatever the secret and the text are', () => {
  const words = new Words(formsOf([`${'a'.repeat(30_000)}b`]));
  const kept: number[] = [];
  const redactor = new Redactor(words, (data) => void kept.push(data.length));
  const piece = Buffer.alloc(65_536, 'a');
  for (let i = 0; i < 100; i++) redactor.push(piece);
  redactor.end();
  expect(kept.reduce((sum, size) => sum + size, 0)).toBe(100 * piece.length);
});
