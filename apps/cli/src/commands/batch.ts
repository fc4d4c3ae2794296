import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, jobsPrefix, patiently, type Api } from '../api.js';
import { readBatch } from '../batch-file.js';
import { command } from '../command.js';
import { misuse } from '../failure.js';
import { readStdin } from '../input.js';
import { printJson, printText, say } from '../print.js';
import { countsOf, openOf, Progress, sentence } from '../progress.js';
import { type Batch, type Job } from '../shapes.js';
import { table } from '../table.js';
import { onInterrupt } from '../watch.js';

const path = `${jobsPrefix}/job-batches`;
/** Looks grow rarer; the answer holds every job, so a long one is not asked for all the time. */
const delays = { first: 200, growth: 1.3, onTerminal: 1_000, elsewhere: 5_000, perAnswer: 4 };

export const batch = command({
  name: 'batch',
  usage: '[--follow] FILE|-',
  summary: 'Submits many jobs at once, all or none: {"name"?, "jobs": [...]}, or one job a line.',
  options: {
    follow: { type: 'boolean', short: 'f', help: 'stay until all are over; exits with 0 only if all succeeded' },
    name: { type: 'string', short: 'n', value: 'NAME', help: 'what the batch is called' },
  },
  takes: [1, 1],
  run: async ({ options, rest }) => {
    const { follow, name, json } = options;
    const document = readBatch(await textOf(rest[0]!));
    const api = connect(options);
    const { answer } = await api.post<Batch>(path, { ...document, ...(name === undefined ? {} : { name }) });
    if (follow) return watch(api, answer, json);
    if (json) await printJson(answer);
    else await printText(answer.id);
    return 0;
  },
});

async function textOf(file: string): Promise<string> {
  try {
    return file === '-' ? await readStdin() : readFileSync(file, 'utf8');
  } catch (error) {
    throw misuse(`${file} cannot be read: ${(error as Error).message}`);
  }
}

async function watch(api: Api, { id, total_jobs: total }: Batch, json: boolean | undefined): Promise<number> {
  say(`Batch ${id}`);
  onInterrupt(`The batch goes on. To end it: runledger cancel --batch ${id}`);
  const ended = await untilOver(api, id, new Progress(total, process.stderr));
  const counts = countsOf(ended);
  if (json) await printJson(ended);
  else {
    const others = ended.jobs.filter(({ status }) => status !== 'success');
    if (others.length > 0) await printText(table(titles, others.map(row)));
    await printText(sentence(counts, total));
  }
  return counts.succeeded === total ? 0 : 1;
}

const titles = ['ID', 'NAME', 'STATUS', 'EXIT', 'REASON'];
const row = ({ id, name, status, return_code, error }: Job) => [
  id,
  name ?? '',
  status,
  String(return_code ?? ''),
  error ?? '',
];

async function untilOver(api: Api, id: string, progress: Progress): Promise<Batch> {
  const slowest = process.stderr.isTTY ? delays.onTerminal : delays.elsewhere;
  for (let delay = delays.first; ; delay = Math.min(delay * delays.growth, slowest)) {
    const asked = performance.now();
    const now = await patiently(() => api.get<Batch>(`${path}/${id}`));
    progress.show(countsOf(now));
    if (openOf(countsOf(now)) === 0) {
      progress.end();
      return now;
    }
    await sleep(Math.max(delay, delays.perAnswer * (performance.now() - asked)));
  }
}
