import { action, Refusal, type ActionOf } from '#domain';
import { deepest, depthOf } from '../../json-body.js';

/** What is asked of the `claude` command line instead of a shell. */
const prompt = /^\s*claude:/i;

export const isPrompt = (command: string): boolean => prompt.test(command);

/** What does not fit, under the name that the client gave it. */
export function wrong(field: string, message: string): Refusal {
  const issues = [{ code: 'custom', path: [field], message, in: 'body' }];
  return new Refusal('malformed', 'MALFORMED', `${field}: ${message}`, { issues });
}

type Plain = Pick<ActionOf<'command'>, 'kind' | 'command' | 'shell'>;

/** The action behind `command` and `args`: a line for the shell with exact arguments, or a prompt. */
export function actionOf(command: string, args: string): Plain {
  const built = isPrompt(command) ? promptFor(command, args) : lineWith(command, args);
  const { error } = action.safeParse(built);
  if (error) throw wrong('args', error.issues[0]?.message ?? 'cannot be passed to a command');
  return built;
}

/** The shell gets the arguments beside the line, never in it: nothing in them is expanded. */
function lineWith(command: string, args: string): Plain {
  const words = argumentsIn(args);
  if (words === null) throw wrong('args', 'a quote or a backslash is left open');
  if (words.length === 0) return { kind: 'command', shell: command };
  return { kind: 'command', command: ['/bin/sh', '-c', `${openEnded(command)} "$@"`, 'sh', ...words] };
}

/** The line's own end would end the command before its arguments; one that a backslash takes away goes on by itself. */
const openEnded = (command: string): string => (/\\\s+$/.test(command) ? command : command.trimEnd());

function promptFor(command: string, args: string): Plain {
  const empty = ['', '{}', '[]'].includes(args.trim());
  const text = [command.replace(prompt, '').trim(), empty ? '' : args.trim()].filter(Boolean).join(' ');
  if (text === '') throw wrong('command', 'a prompt must follow claude:');
  // A dash at its beginning would make it an option.
  return { kind: 'command', command: ['claude', '--print', text.startsWith('-') ? ` ${text}` : text] };
}

/** A JSON object: `--key=value` each; an array: its items; other text: its words. Null when it cannot be read. */
export function argumentsIn(args: string): string[] | null {
  const value = jsonIn(args);
  if (Array.isArray(value)) return value.map(textOf);
  if (value !== null) return Object.entries(value).map(([key, each]) => `--${key}=${textOf(each)}`);
  return splitWords(args);
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));

function jsonIn(args: string): object | null {
  let value: unknown;
  try {
    value = JSON.parse(args);
  } catch {
    return null;
  }
  if (typeof value !== 'object') return null;
  if (depthOf(args) > deepest) throw wrong('args', `is nested deeper than ${deepest} levels`);
  return value;
}

/** A backslash before the line's end takes both away. */
const piece = /(\\\n)|\\([^])|'([^']*)'|"((?:[^"\\]|\\[^])*)"|([^ \t\r\n'"\\]+)|([ \t\r\n]+)/y;

/** Words as a shell splits them, quotes and backslashes taken away and nothing expanded; null when one is left open. */
export function splitWords(text: string): string[] | null {
  const words: string[] = [];
  let word: string | null = null;
  piece.lastIndex = 0;
  while (piece.lastIndex < text.length) {
    const [match, joined, escaped, single, double, plain] = piece.exec(text) ?? [];
    if (match === undefined) return null;
    if (joined !== undefined) continue;
    const part = escaped ?? single ?? double?.replace(/\\(?:\n|([$`"\\]))/g, '$1') ?? plain;
    if (part !== undefined) word = (word ?? '') + part;
    else if (word !== null) {
      words.push(word);
      word = null;
    }
  }
  return word === null ? words : [...words, word];
}

/** A program and its arguments as a line that a shell reads as just these. */
export const lineOf = (argv: string[]): string =>
  argv.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)).join(' ');
