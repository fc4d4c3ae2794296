/** `runledger`: the command line client, over HTTP alone. */
import { readFileSync } from 'node:fs';
import { type Command } from './command.js';
import { batch } from './commands/batch.js';
import { login } from './commands/login.js';
import { logs } from './commands/logs.js';
import { explainProcess, listProcesses, runProcess } from './commands/processes.js';
import { cancel, list, show } from './commands/runs.js';
import { submit } from './commands/submit.js';
import { verify } from './commands/verify.js';
import { Failure, misuse } from './failure.js';
import { printText, say } from './print.js';

const ofProcesses = [listProcesses, runProcess, explainProcess];
const commands: Command[] = [login, submit, batch, list, show, logs, cancel, ...ofProcesses, verify];

async function main(args: string[]): Promise<number> {
  const [first = '--help'] = args;
  if (first === '--version') return print(`runledger ${version()}`);
  if (first === '--help' || first === '-h' || first === 'help') return print(help());
  const found = commands.find(({ name }) => name.split(' ').every((word, index) => args[index] === word));
  if (found) return found.run(args.slice(found.name.split(' ').length));
  if (first.startsWith('-')) throw misuse(`${first} goes after the command: "runledger --help" lists them.`);
  const related = commands.filter(({ name }) => name.startsWith(`${first} `)).map(({ name }) => name);
  const what = related.length > 0 ? `Say ${related.join(' or ')}.` : `There is no command "${first}".`;
  throw misuse(`${what} "runledger --help" lists them.`);
}

async function print(text: string): Promise<number> {
  await printText(text);
  return 0;
}

function help(): string {
  const width = Math.max(...commands.map(({ name }) => name.length));
  return [
    'Usage: runledger COMMAND [options]',
    '',
    ...commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`),
    '',
    'Each explains itself with --help. All take --url URL (else RUNLEDGER_URL, else the server of the last login) and --json.',
    'Exit codes: 0 well; with --follow the code of the run; 2 a wrong command line; 1 anything else.',
  ].join('\n');
}

function version(): string {
  const file = new URL('../../../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

/** Whoever read our output may have seen enough of it. */
for (const sink of [process.stdout, process.stderr]) sink.on('error', () => process.exit(1));

main(process.argv.slice(2)).then(
  (code) => (process.exitCode = code),
  (error: Error) => {
    say(`runledger: ${error.message}`);
    process.exitCode = error instanceof Failure ? error.exitCode : 1;
  },
);
