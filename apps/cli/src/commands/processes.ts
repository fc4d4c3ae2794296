import { connect, type Api } from '../api.js';
import { followOption, wholeNumber } from '../arguments.js';
import { command } from '../command.js';
import { Failure } from '../failure.js';
import { printJson, printText, say, styled } from '../print.js';
import { isId, type Process, type Run, type Tick } from '../shapes.js';
import { table } from '../table.js';
import { plain } from '../terminal.js';
import { age } from '../words.js';
import { requested } from '../watch.js';

const path = '/api/v1/processes';
const all = 1_000_000;

export const listProcesses = command({
  name: 'process list',
  usage: '[--limit N]',
  summary: 'Lists processes, newest first.',
  options: { limit: { type: 'string', value: 'N', help: 'how many at most (all)' } },
  run: async ({ options }) => {
    const most = options.limit === undefined ? all : wholeNumber('limit', options.limit, 1, all);
    const processes = await connect(options).list<Process>(path, {}, most);
    if (options.json) await printJson(processes);
    else if (processes.length === 0) say('There are no processes.');
    else await printText(table(titles, processes.map(row)));
    return 0;
  },
});

const titles = ['ID', 'NAME', 'KIND', 'TRIGGERS', 'NEXT', 'LAST RUN'];

function row({ id, name, action, words, enabled, nextRunAt, lastRun }: Process): string[] {
  const last = lastRun && `${lastRun.status} ${age(lastRun.finishedAt ?? lastRun.startedAt ?? lastRun.requestedAt)}`;
  return [id, name, action.kind, words ?? 'manual', enabled ? age(nextRunAt) : 'disabled', last ?? ''];
}

export const runProcess = command({
  name: 'process run',
  usage: '[--follow] NAME|ID',
  summary: 'Runs a process now and prints the id of the run; with --follow also what it prints.',
  options: followOption,
  takes: [1, 1],
  run: async ({ options, rest }) => {
    const { follow, json } = options;
    const api = connect(options);
    const id = await idOf(api, rest[0]!);
    const { answer, position } = await api.post<Run>(`${path}/${id}/run`, {});
    return requested(api, { id: answer.id, position, follow, json });
  },
});

export const explainProcess = command({
  name: 'process why',
  usage: '[--hours N] NAME|ID',
  summary: 'Says what each due instant of a process came to, and why, oldest first.',
  options: { hours: { type: 'string', value: 'N', help: 'how far back (24)' } },
  takes: [1, 1],
  run: async ({ options, rest }) => {
    const hours = options.hours === undefined ? 24 : wholeNumber('hours', options.hours, 1, all);
    const api = connect(options);
    const id = await idOf(api, rest[0]!);
    const from = new Date(Date.now() - hours * 3_600_000).toISOString();
    const ticks = await api.list<Tick>(`${path}/${id}/ticks`, { from }, all);
    if (options.json) await printJson(ticks);
    else if (ticks.length === 0) say(`Nothing was due in the last ${hours} hours.`);
    else await printText(ticks.map(tickLine).join('\n'));
    return 0;
  },
});

function tickLine({ at, outcome, text }: Tick): string {
  const styles = { fired: 'green', held: 'cyan', skipped: 'yellow' } as const;
  return `${at.replace('T', ' ').replace('Z', '')}  ${styled(styles[outcome], outcome.padEnd(7))}  ${plain(text)}`;
}

/** Names need not be unique: who means one of several says its id. */
async function idOf(api: Api, text: string): Promise<string> {
  if (isId(text)) return text.toLowerCase();
  const similar = await api.list<Process>(path, { q: text.slice(0, 200) }, all);
  const ids = similar.filter(({ name }) => name === text).map(({ id }) => id);
  if (ids.length === 1) return ids[0]!;
  if (ids.length === 0) throw new Failure(`No process is called "${text}": "runledger process list" shows them.`);
  throw new Failure(`${ids.length} processes are called "${text}": name one by its id (${ids.join(', ')}).`);
}
