import { expect, test } from '@jest/globals';
import { plain, TerminalFilter } from './terminal.js';

const shown = (...pieces: string[]) => {
  const filter = new TerminalFilter();
  return pieces.map((piece) => filter.push(piece)).join('');
};

test.each<[string, string, string]>([
  ['text, tabs and line ends', 'a\tb\r\nä🐘\n', 'a\tb\r\nä🐘\n'],
  ['colours', '\x1b[1;31mred\x1b[0m', '\x1b[1;31mred\x1b[0m'],
])('passes %s', (_, text, wanted) => expect(shown(text)).toBe(wanted));

test.each<[string, string, string]>([
  ['a write to the clipboard', '\x1b]52;c;aGk=\x07x', ']52;c;aGk=x'],
  ['a link', '\x1b]8;;javascript:x\x1b\\y', ']8;;javascript:x\\y'],
  ['moves of the cursor', '\x1b[2Jx\x1b[1;1H', '[2Jx[1;1H'],
  ['questions that the terminal would answer', '\x1b[6n\x1bP$qm\x1b\\', '[6nP$qm\\'],
  ['eight-bit controls, bells and backspaces', '\x9b31mx\x07\x08', '31mx'],
])('disarms %s', (_, text, wanted) => expect(shown(text)).toBe(wanted));

test('a sequence may be cut anywhere', () => {
  expect(shown('a\x1b', '[3', '1mb')).toBe('a\x1b[31mb');
  expect(shown('a\x1b', ']52;x')).toBe('a]52;x');
  expect(shown('\x1b[', `${'1;'.repeat(40)}`, 'x')).toBe(`[${'1;'.repeat(40)}x`);
});

test('a cell of a table is one line without any', () => {
  expect(plain('a\x1b[31m\nb\tc')).toBe('a [31m b c');
});
