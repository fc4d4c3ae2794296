import { connect, jobsPrefix, type Api } from '../api.js';
import { runId, wholeNumber } from '../arguments.js';
import { command } from '../command.js';
import { printJson, printText, say } from '../print.js';
import { type Run } from '../shapes.js';
import { sheet, table } from '../table.js';
import { age, took } from '../words.js';

const usualLimit = '20';

export const list = command({
  name: 'list',
  usage: '[--status STATUS] [--limit N]',
  summary: 'Lists runs, newest first.',
  options: {
    status: { type: 'string', value: 'STATUS', help: 'queued, running, succeeded, failed, timed-out, cancelled, …' },
    limit: { type: 'string', value: 'N', help: `how many at most (${usualLimit})` },
  },
  run: async ({ options }) => {
    const { status, limit = usualLimit } = options;
    const runs = await connect(options).list<Run>(
      '/api/v1/runs',
      { status },
      wholeNumber('limit', limit, 1, 1_000_000),
    );
    if (options.json) await printJson(runs);
    else if (runs.length === 0) say('There are no runs.');
    else await printText(table(titles, runs.map(row)));
    return 0;
  },
});

const titles = ['ID', 'NAME', 'STATUS', 'REQUESTED', 'TOOK', 'EXIT'];

function row({ id, name, status, requestedAt, durationMs, exitCode, signal }: Run): string[] {
  return [id, name, status, age(requestedAt), took(durationMs), String(exitCode ?? signal ?? '')];
}

export const show = command({
  name: 'show',
  usage: 'ID',
  summary: 'Shows one run.',
  options: {},
  takes: [1, 1],
  run: async ({ options, rest }) => {
    const run = await connect(options).get<Run>(`/api/v1/runs/${runId(rest[0])}`);
    if (options.json) await printJson(run);
    else await printText(sheet(fields(run)));
    return 0;
  },
});

function fields(run: Run): [string, string | null | undefined][] {
  const { action, output } = run;
  return [
    ['Run', run.id],
    ['Name', run.name],
    ['Status', run.status + (run.reason === null ? '' : ` (${run.reason})`)],
    ['Exit code', run.exitCode === null ? run.signal : String(run.exitCode)],
    ['Process', run.process && `${run.process.name} (${run.process.id}, revision ${run.process.revision})`],
    ['Action', action.command?.map(quoted).join(' ') ?? action.shell ?? action.kind],
    ['Folder', action.cwd],
    ['Requested', moment(run.requestedAt)],
    ['Started', moment(run.startedAt)],
    ['Finished', moment(run.finishedAt)],
    ['Took', took(run.durationMs)],
    ['Attempt', String(run.attempt)],
    ['Priority', String(run.priority)],
    ['Server', run.server],
    ['Batch', run.batch],
    ['Progress', run.progress === null ? run.message : `${run.progress} % ${run.message ?? ''}`],
    ['Output', output && `${output.bytes} bytes${output.truncated ? `, ${output.stored} kept` : ''}`],
  ];
}

const moment = (at: string | null): string | null => at && `${at} (${age(at)})`;

/** As a shell would have to be given it. */
const quoted = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`);

export const cancel = command({
  name: 'cancel',
  usage: '[--batch] ID',
  summary: 'Ends a run and every process that it started, or all runs of a batch.',
  options: {
    batch: { type: 'boolean', help: 'the id is that of a batch' },
    reason: { type: 'string', value: 'TEXT', help: 'why a run is ended, for those who read it later' },
  },
  takes: [1, 1],
  run: async ({ options, rest }) => {
    const id = runId(rest[0]);
    if (options.batch) return cancelBatch(connect(options), id, options.json);
    const { answer: run } = await connect(options).post<Run>(`/api/v1/runs/${id}/cancel`, { reason: options.reason });
    if (options.json) await printJson(run);
    else say(run.status === 'cancelled' ? `Run ${run.id} is cancelled.` : `Run ${run.id} is being ended.`);
    return 0;
  },
});

async function cancelBatch(api: Api, id: string, json: boolean | undefined): Promise<number> {
  const { answer } = await api.post<{ detail: string }>(`${jobsPrefix}/job-batches/${id}/cancel`, {});
  if (json) await printJson(answer);
  else say(`${answer.detail}.`);
  return 0;
}
