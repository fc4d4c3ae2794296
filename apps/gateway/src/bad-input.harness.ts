import { randomUUID } from 'node:crypto';
import { type SurfaceName } from './refused.harness.js';

export const noop = { kind: 'noop' };

/** A good body with one field exchanged, or left out by `undefined`. */
export const faults: Record<string, Record<string, unknown>[]> = {
  'viewer: log in': [
    ...[{ username: undefined }, { password: undefined }, { username: 7 }, { password: null }, { username: ['admin'] }],
    ...[{ username: { $ne: '' } }, { username: '' }, { username: 'a'.repeat(257) }, { password: 'p'.repeat(5_000) }],
  ],
  'native: define a process': [
    ...[{ name: undefined }, { action: undefined }, { name: 7 }, { name: '' }, { name: 'n'.repeat(201) }],
    ...[{ action: 'noop' }, { action: null }, { action: {} }, { action: { kind: 'no-such-kind' } }, { description: 7 }],
    ...[
      { action: { ...noop, more: 1 } },
      { action: { kind: 'command' } },
      { action: { kind: 'command', command: [] } },
    ],
    ...[{ action: { kind: 'command', command: [''] } }, { action: { kind: 'command', command: 'ls' } }],
    ...[{ action: { kind: 'command', command: ['a'], shell: 'b' } }, { policies: { timeout: 'soon' } }],
    ...[{ policies: { retry: { attempts: 99 } } }, { policies: { typo: 1 } }, { policies: [] }, { triggers: 'often' }],
    ...[{ action: { kind: 'command', shell: 'x', env: { LD_PRELOAD: '/x' } } }, { triggers: [{}] }, { typo: true }],
    ...[{ action: { kind: 'command', shell: 'x', env: { 'NOT A NAME': '' } } }, { owner: 'me' }, { id: 'x' }],
    ...[{ name: '\ud800' }, { description: 'd'.repeat(2_001) }, { triggers: [{ cron: '0 2 * * *', typo: 1 }] }],
  ],
  'native: run something once': [
    ...[{ action: undefined }, { action: { kind: 'command', shell: '' } }, { name: [] }, { parameters: 'x' }],
    ...[{ typo: 1 }, { policies: { priority: 11 } }, { action: { kind: 'command', shell: 'x', cwd: '' } }],
  ],
  'native: revise a process': [
    ...[{ revision: undefined }, { revision: '1' }, { revision: 0 }, { revision: 1.5 }, { name: null }, { typo: 1 }],
    ...[{ action: {} }, { triggers: {} }, { policies: null }, { number: 9 }],
  ],
  'jobs: submit a job': [
    ...[
      { command: undefined },
      { command: [] },
      { command: 'ls -l' },
      { command: [1] },
      { env: { A: 1 } },
      { env: [] },
    ],
    ...[
      { priority: 11 },
      { priority: 'high' },
      { working_dir: 7 },
      { name: '' },
      { payload: 'x' },
      { queue: 'no name' },
    ],
    ...[{ batch_id: 'x' }, { env: { LD_PRELOAD: '/x' } }, { command: ['a\u0000'] }],
  ],
  'jobs: submit a batch': [
    ...[{ jobs: undefined }, { jobs: [] }, { jobs: {} }, { jobs: [{ command: ['true'] }, {}] }, { name: '' }],
    ...[{ name: 7 }, { jobs: [{ command: ['true'], priority: 11 }] }, { description: 7 }],
  ],
  'jobs: set the limit': [
    { max_jobs: undefined },
    { max_jobs: 0 },
    { max_jobs: -1 },
    { max_jobs: 1.5 },
    { max_jobs: '3' },
  ],
  'tasks: sign in': [
    ...[{ email: undefined }, { password: undefined }, { email: 7 }, { email: null }, { password: ['x'] }],
    ...[{ email: '' }, { email: { $ne: '' } }, { email: 'a'.repeat(257) }, { password: 'p'.repeat(5_000) }],
  ],
  'tasks: make a task': [
    ...[{ name: undefined }, { name: '' }, { name: 'n'.repeat(101) }, { name: 7 }, { description: 'd'.repeat(501) }],
    ...[{ command: undefined }, { command: '' }, { command: ' ' }, { command: ['ls'] }, { command: null }],
    ...[
      { args: {} },
      { args: ['x'] },
      { args: 7 },
      { args: null },
      { args: 'an open "quote' },
      { args: '["\\u0000"]' },
    ],
    ...[{ enabled: 'yes' }, { enabled: 1 }, { priority: 'highest' }, { priority: 5 }, { priority: '' }],
    ...[{ notifyOn: 'sometimes' }, { notifyOn: 'completion,nope' }, { notifyOn: ['error'] }, { notifyOn: null }],
    ...[{ schedule: '61 * * * *' }, { schedule: '0 0 30 2 *' }, { schedule: `${'0,'.repeat(146)}0 * * * *` }],
    ...[{ schedule: 'daily' }, { schedule: '* * * *' }, { schedule: 7 }, { schedule: '@fortnightly' }],
    ...[{ timezone: 'Mars/Olympus' }, { timezone: '' }, { schedule: '@manual', timezone: 'Nowhere' }],
    ...[{ name: '\ud800' }, { command: 'claude:', args: '{}' }, { args: JSON.stringify(Array(5_000).fill('x')) }],
  ],
  'tasks: change a task': [
    ...[{ name: '' }, { name: null }, { command: '' }, { args: [] }, { enabled: null }, { priority: 'max' }],
    ...[{ notifyOn: 'x' }, { schedule: '61 * * * *' }, { timezone: 'Mars/Olympus' }, { args: "it's" }],
  ],
  'tasks: run a task': [{ task_id: undefined }, { task_id: 7 }, { task_id: '' }, { task_id: null }],
  'native: run a batch': [
    ...[{ runs: undefined }, { runs: [] }, { runs: [{}] }, { runs: [{ action: noop }, { action: noop, typo: 1 }] }],
    ...[{ typo: 1 }, { name: [] }, { runs: [{ action: noop, policies: { queue: 'no name' } }] }],
  ],
  'native: create a webhook': [
    ...[{ url: undefined }, { url: 7 }, { url: '' }, { url: 'receiver' }, { url: 'ftp://receiver.invalid/' }],
    ...[{ url: 'file:///etc/passwd' }, { url: 'gopher://receiver.invalid/' }, { url: 'https://a:b@receiver.invalid/' }],
    ...[{ url: `https://receiver.invalid/${'x'.repeat(2_000)}` }, { url: 'http://127.1/' }, { url: 'http://[::1]/' }],
    ...[{ url: 'http://169.254.169.254/latest' }, { url: 'http://0x7f.1/' }, { url: 'http://2130706433/' }],
    ...[{ url: 'http://[::ffff:10.0.0.1]/' }, { url: 'http://[64:ff9b::a00:1]/' }, { types: 'RunFailed' }],
    ...[{ types: [7] }, { types: ['run failed'] }, { processes: ['x'] }, { processes: {} }, { typo: 1 }],
    ...[{ secret: 'mine' }, { owner: 'me' }],
  ],
  'native: replay a webhook': [
    ...[{ from: undefined }, { from: 1 }, { from: '' }, { from: '-1' }, { from: 'x' }, { from: '9'.repeat(19) }],
    ...[{ typo: 1 }],
  ],
};

export interface Target {
  surface: SurfaceName;
  method: string;
  path: () => string;
  /** What is accepted; each test breaks it. */
  good: () => Record<string, unknown>;
  malformed: number;
  /** Bytes of a body; 1 MiB where the document says nothing. */
  most?: number;
}

interface Things {
  password: () => string;
  process: () => string;
  task: () => string;
}

/** Each order that takes a body, and a good one; the things are made when the tests begin. */
export function targetsFor({ password, process, task }: Things) {
  const targets: Record<string, Target> = {
    'viewer: log in': {
      surface: 'viewer',
      method: 'POST',
      path: () => '/api/auth/login',
      good: () => ({ username: 'admin', password: password() }),
      malformed: 400,
    },
    'native: define a process': {
      surface: 'native',
      method: 'POST',
      path: () => '/api/v1/processes',
      good: () => ({ name: 'p', action: noop }),
      malformed: 422,
    },
    'native: run something once': {
      surface: 'native',
      method: 'POST',
      path: () => '/api/v1/runs',
      good: () => ({ name: 'r', action: noop }),
      malformed: 422,
    },
    'native: revise a process': {
      surface: 'native',
      method: 'PATCH',
      path: () => `/api/v1/processes/${process()}`,
      good: () => ({ revision: 1, name: 'p' }),
      malformed: 422,
    },
    'jobs: submit a job': {
      surface: 'jobs',
      method: 'POST',
      path: () => '/api/v1/jobs',
      good: () => ({ command: ['true'] }),
      malformed: 422,
    },
    'jobs: submit a batch': {
      surface: 'jobs',
      most: 16 * 1_048_576,
      method: 'POST',
      path: () => '/api/v1/job-batches',
      good: () => ({ name: 'b', jobs: [{ command: ['true'] }] }),
      malformed: 422,
    },
    'jobs: set the limit': {
      surface: 'jobs',
      method: 'POST',
      path: () => '/api/v1/admin/limits/global',
      good: () => ({ max_jobs: 3 }),
      malformed: 422,
    },
    ...tasksTargets({ password, task }),
    'native: run a batch': {
      surface: 'native',
      most: 16 * 1_048_576,
      method: 'POST',
      path: () => '/api/v1/batches',
      good: () => ({ name: 'b', runs: [{ action: noop }] }),
      malformed: 422,
    },
    ...webhookTargets,
  };

  /** A change of nothing is no mistake: what is malformed here is what is named. */
  const taskChange: Target = {
    surface: 'tasks',
    method: 'PUT',
    path: () => `/api/tasks/${task()}`,
    good: () => ({}),
    malformed: 422,
  };

  return { targets, taskChange };
}

const webhookTargets: Record<string, Target> = {
  'native: create a webhook': {
    surface: 'native',
    method: 'POST',
    path: () => '/api/v1/webhooks',
    good: () => ({ url: 'https://receiver.invalid/', types: [], processes: [] }),
    malformed: 422,
  },
  'native: replay a webhook': {
    surface: 'native',
    method: 'POST',
    path: () => `/api/v1/webhooks/${randomUUID()}/replay`,
    good: () => ({ from: '1' }),
    malformed: 422,
  },
};

function tasksTargets({ password, task }: Pick<Things, 'password' | 'task'>): Record<string, Target> {
  return {
    'tasks: sign in': {
      surface: 'tasks',
      method: 'POST',
      path: () => '/api/auth/signin',
      good: () => ({ email: 'admin@example.com', password: password() }),
      malformed: 422,
    },
    'tasks: make a task': {
      surface: 'tasks',
      method: 'POST',
      path: () => '/api/tasks',
      good: () => ({ name: 't', command: 'true' }),
      malformed: 422,
    },
    'tasks: run a task': {
      surface: 'tasks',
      method: 'POST',
      path: () => '/execute-task',
      good: () => ({ task_id: task() }),
      malformed: 422,
    },
  };
}
