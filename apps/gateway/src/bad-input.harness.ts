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
