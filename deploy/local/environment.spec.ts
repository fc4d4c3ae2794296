import { expect, test } from '@jest/globals';
import path from 'node:path';
import { planChildren, readClusterOptions } from './cluster-plan.js';
import { readEnvironment } from './environment.js';

test('nothing set means loopback, port 8000, ./.runledger and nothing external', () => {
  const environment = readEnvironment({ PORT: '', DATABASE_URL: '' });
  expect(environment).toEqual({ ports: [8000], host: '127.0.0.1', dataDir: path.resolve('.runledger') });
});

test('PORT may be a list', () => {
  expect(readEnvironment({ PORT: '8000, 9000' }).ports).toEqual([8000, 9000]);
});

test.each([
  ['PORT', 'http'],
  ['PORT', '70000'],
  ['DATABASE_URL', 'mysql://localhost/x'],
  ['NATS_URL', 'localhost'],
])('%s=%s is refused by name', (name, value) => {
  expect(() => readEnvironment({ [name]: value })).toThrow(new RegExp(`cannot be used: ${name}: `));
});

test('each instance is a process whose command line names its service', () => {
  const options = readClusterOptions(['--executors', '2', '--gateways', '2', '--auths', '0', '--bare']);
  const environment = readEnvironment({ PORT: '8000,8010' });
  const connections = { databaseUrl: 'postgres://db', natsUrl: (service: string) => `nats://${service}@bus` };
  const children = planChildren('/dist', options, environment, connections);
  expect(children.map(({ name, env }) => [name, env.PORT])).toEqual([
    ['gateway-1', '8000,8010'],
    ['gateway-2', '8011'],
    ['scheduler-1', process.env.PORT],
    ['executor-1', process.env.PORT],
    ['executor-2', process.env.PORT],
    ['history-1', process.env.PORT],
  ]);
  expect(children[4]).toMatchObject({
    args: ['--max-semi-space-size=4', '/dist/apps/executor/src/main.js', 'executor', '2'],
    env: {
      NATS_URL: 'nats://executor@bus',
      RUNLEDGER_INSTANCE: '2',
      RUNLEDGER_BARE: 'on',
      RUNLEDGER_DATA: environment.dataDir,
    },
  });
});

test('a count that is none is refused', () => {
  expect(() => readClusterOptions(['--executors', 'many'])).toThrow('--executors must be a number');
  expect(() => readClusterOptions(['--workers', '3'])).toThrow('--workers');
});
