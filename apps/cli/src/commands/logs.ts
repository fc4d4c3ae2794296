import { connect } from '../api.js';
import { followOption, runId, wholeNumber } from '../arguments.js';
import { command } from '../command.js';
import { follow } from '../follow.js';
import { printJson } from '../print.js';
import { readPieces, RunOutput } from '../run-output.js';
import { type Run } from '../shapes.js';
import { conclude, leaveAlone, sinksFor } from '../watch.js';

export const logs = command({
  name: 'logs',
  usage: '[-f] ID',
  summary: 'Prints what a run has printed: its stdout on stdout, its stderr on stderr.',
  options: {
    ...followOption,
    attempt: { type: 'string', value: 'N', help: 'of this attempt (else the newest)' },
  },
  takes: [1, 1],
  run: async ({ options, rest }) => {
    const id = runId(rest[0]);
    const { json } = options;
    const api = connect(options);
    const run = await api.get<Run>(`/api/v1/runs/${id}`);
    const newest = Math.max(run.attempt, 1);
    const attempt = options.attempt === undefined ? newest : wholeNumber('attempt', options.attempt, 1, newest);
    const output = new RunOutput(api, id, attempt, sinksFor(json));
    if (options.follow) leaveAlone(id);
    const ended = options.follow ? await follow(api, id, output) : null;
    if (json) await printJson(await readPieces(api, id, attempt));
    else if (!ended) await output.finish(attempt);
    return ended ? conclude(ended) : 0;
  },
});
