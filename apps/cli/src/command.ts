/** How every command is declared, read from its arguments and explained. */
import { parseArgs, type ParseArgsOptionDescriptor } from 'node:util';
import { misuse } from './failure.js';

export interface Option extends ParseArgsOptionDescriptor {
  /** What its value is called in the help. */
  value?: string;
  help: string;
}
type Options = Record<string, Option>;

const common = {
  url: { type: 'string', value: 'URL', help: 'the server (else RUNLEDGER_URL, else that of the last login)' },
  json: { type: 'boolean', help: 'print one JSON value' },
  help: { type: 'boolean', short: 'h', help: 'explain this command' },
} as const satisfies Options;

type Values<O extends Options> = ReturnType<typeof parseArgs<{ options: O & typeof common }>>['values'];

interface Call<O extends Options> {
  options: Values<O>;
  /** What is neither an option nor its value. */
  rest: string[];
}

interface Definition<O extends Options> {
  /** `submit`, `process list` */
  name: string;
  /** How it is called, after its name. */
  usage: string;
  summary: string;
  options: O;
  /** How many further arguments it takes. */
  takes?: [least: number, most: number];
  /** Answers the exit code. */
  run: (call: Call<O>) => Promise<number>;
}

export interface Command {
  name: string;
  summary: string;
  help: string;
  run: (args: string[]) => Promise<number>;
}

export function command<const O extends Options>(definition: Definition<O>): Command {
  const { name, summary, takes = [0, 0], run } = definition;
  const options = { ...definition.options, ...common };
  const help = explain(definition, options);
  return {
    name,
    summary,
    help,
    run: async (args) => {
      const { values, positionals } = read(definition, args, options);
      if ((values as Values<Options>).help) {
        process.stdout.write(`${help}\n`);
        return 0;
      }
      const [least, most] = takes;
      if (positionals.length < least || positionals.length > most)
        throw misuse(`${usageOf(definition)}. ${hint(name)}`);
      return run({ options: values as Values<O>, rest: positionals });
    },
  };
}

const usageOf = ({ name, usage }: { name: string; usage: string }) => `Usage: runledger ${name} ${usage}`.trimEnd();
const hint = (name: string) => `"runledger ${name} --help" explains it.`;

function read<O extends Options>({ name, usage }: { name: string; usage: string }, args: string[], options: O) {
  try {
    return parseArgs({ args, options, allowPositionals: true });
  } catch (error) {
    const [what] = (error as Error).message.split('. ', 1);
    const place = usage.includes('-- ') ? ' What is not for runledger itself goes after "--".' : '';
    throw misuse(`${what}.${place} ${hint(name)}`);
  }
}

function explain(definition: { name: string; usage: string; summary: string }, options: Options): string {
  const names = Object.entries(options).map(([name, { short, value }]) => {
    return `${short ? `-${short}, ` : '    '}--${name}${value ? ` ${value}` : ''}`;
  });
  const width = Math.max(...names.map(({ length }) => length));
  const lines = Object.values(options).map(({ help }, index) => `  ${names[index]!.padEnd(width)}  ${help}`);
  return [usageOf(definition), '', definition.summary, '', ...lines].join('\n');
}
