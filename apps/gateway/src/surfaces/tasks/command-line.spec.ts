import { describe, expect, test } from '@jest/globals';
import { Refusal } from '#domain';
import { actionOf, argumentsIn, lineOf, splitWords } from './command-line.js';

const refused = (work: () => unknown) => {
  try {
    work();
  } catch (error) {
    if (error instanceof Refusal) return error.message;
  }
  return 'not refused';
};

describe('args', () => {
  test.each<[string, string[] | null]>([
    ['{}', []],
    ['', []],
    ['  ', []],
    ['[]', []],
    ['{"format": "pdf"}', ['--format=pdf']],
    [
      '{"a": "two words", "n": 3, "dry": true, "none": null, "in": {"x": [1]}}',
      ['--a=two words', '--n=3', '--dry=true', '--none=null', '--in={"x":[1]}'],
    ],
    ['["-v", "a b", "", 7, {"k": "$HOME"}]', ['-v', 'a b', '', '7', '{"k":"$HOME"}']],
    ['-v --name "a b" \'c d\' e\\ f', ['-v', '--name', 'a b', 'c d', 'e f']],
    ['{not json}', ['{not', 'json}']],
    ['5', ['5']],
    ['"quoted"', ['quoted']],
    ['null', ['null']],
    ["it's", null],
  ])('%s', (args, words) => {
    expect(argumentsIn(args)).toEqual(words);
  });
});

describe('words are split as a shell does', () => {
  test.each<[string, string[] | null]>([
    ['a  b\tc\nd', ['a', 'b', 'c', 'd']],
    [`--x="a b"'c'd`, ['--x=a bcd']],
    ['""', ['']],
    [`'' ""`, ['', '']],
    ['$HOME `id` $(id) *', ['$HOME', '`id`', '$(id)', '*']],
    [`"a \\" \\\\ \\$x \\n"`, ['a " \\ $x \\n']],
    [`'a \\ b'`, ['a \\ b']],
    ['a\\', null],
    ['"a', null],
    ['--a 1 \\\n  --b 2', ['--a', '1', '--b', '2']],
    ['a\\\nb "c\\\nd"', ['ab', 'cd']],
    ['a\u3000b', ['a\u3000b']],
    ["'a", null],
  ])('%s', (text, words) => {
    expect(splitWords(text)).toEqual(words);
  });

  test('a line made of words is read as these words', () => {
    const argv = ['a', 'b c', '', "it's", '"q"', '$x', '\\', '*', 'ü', '-n', '\n'];
    expect(splitWords(lineOf(argv))).toEqual(argv);
  });
});

describe('the action', () => {
  test('a line without arguments is the shell’s', () => {
    expect(actionOf('df -P | tail -1', '{}')).toEqual({ kind: 'command', shell: 'df -P | tail -1' });
  });

  test('arguments stand beside a line that ends with a line’s end', () => {
    const lineOfThe = (command: string) => actionOf(command, '-v').command?.[2];
    expect(lineOfThe('report\r\n')).toBe('report "$@"');
    expect(lineOfThe('report \\\n')).toBe('report \\\n "$@"');
    expect(lineOfThe('report a\\ ')).toBe('report a\\  "$@"');
  });

  test('arguments stand beside the line', () => {
    const command = ['/bin/sh', '-c', 'generate_report "$@"', 'sh', '--format=pdf; rm -rf /'];
    expect(actionOf('generate_report', '{"format": "pdf; rm -rf /"}')).toEqual({ kind: 'command', command });
  });

  test.each([
    ['claude: say hello', '{}', 'say hello'],
    ['claude:say', 'hello there', 'say hello there'],
    ['Claude:', 'only this', 'only this'],
    ['claude: --help me', '', ' --help me'],
  ])('%s with %s is a prompt', (command, args, text) => {
    expect(actionOf(command, args)).toEqual({ kind: 'command', command: ['claude', '--print', text] });
  });

  test('what no command can be given is refused where it stands', () => {
    expect(refused(() => actionOf('x', '"open'))).toMatch(/^args: .*open/);
    expect(refused(() => actionOf('x', '["\\u0000"]'))).toMatch(/^args: .*NUL/);
    expect(refused(() => actionOf('x', JSON.stringify(Array(5_000).fill('y'))))).toMatch(/^args: /);
    expect(refused(() => actionOf('claude:', '{}'))).toMatch(/^command: /);
    for (const [open, close] of [
      ['[', ']'],
      ['{"a":', '}'],
    ] as const) {
      const deep = `${open.repeat(5_000)}1${close.repeat(5_000)}`;
      expect(refused(() => actionOf('x', deep))).toBe('args: is nested deeper than 64 levels');
    }
  });
});
