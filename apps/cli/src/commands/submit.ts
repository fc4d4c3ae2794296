import { connect, jobsPrefix } from '../api.js';
import { followOption, variables, wholeNumber } from '../arguments.js';
import { command } from '../command.js';
import { misuse } from '../failure.js';
import { type Job } from '../shapes.js';
import { requested } from '../watch.js';

export const submit = command({
  name: 'submit',
  usage: '[options] -- COMMAND [ARGUMENT...]',
  summary: 'Runs a command once and prints the id of the run; with --follow also what it prints.',
  options: {
    ...followOption,
    name: { type: 'string', short: 'n', value: 'NAME', help: 'what the run is called (else its command)' },
    queue: { type: 'string', value: 'QUEUE', help: 'where it waits (else default)' },
    priority: { type: 'string', value: '0-10', help: 'higher ones start first (else 5)' },
    env: {
      type: 'string',
      short: 'e',
      multiple: true,
      value: 'K=V',
      help: 'a variable of its environment; repeatable',
    },
    cwd: { type: 'string', value: 'DIR', help: 'where it works, a folder on the server' },
  },
  takes: [0, Infinity],
  run: async ({ options, rest }) => {
    if (rest.length === 0) throw misuse('What shall run? runledger submit [options] -- COMMAND [ARGUMENT...]');
    const { name, queue, priority, cwd, env = [], json } = options;
    const api = connect(options);
    const { answer, position } = await api.post<Job>(`${jobsPrefix}/jobs`, {
      ...{ name, command: rest, working_dir: cwd, queue, env: variables(env) },
      priority: priority === undefined ? undefined : wholeNumber('priority', priority, 0, 10),
    });
    return requested(api, { id: answer.id, position, follow: options.follow, json });
  },
});
