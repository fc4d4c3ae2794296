/** A real nats-server for one test file, on a port of its own, to be stopped and started again as a test pleases. */
import { startNats, type Nats, type NatsUser } from '../../../deploy/local/nats.js';
import { freePort } from './ports.js';
import { removeTestDir, testDir } from './test-dir.js';

export interface TestNats {
  /** Of the first user. */
  readonly url: string;
  readonly port: number;
  /** 0 while it is stopped. */
  readonly pid: number;
  urlOf(user: string): string;
  stop(): Promise<void>;
  /** Starts it again on the same port with the same users; stops it first when it runs. */
  restart(): Promise<void>;
  /** Stops it for good and removes its files. */
  remove(): Promise<void>;
}

const everybody: NatsUser = { user: 'test', publish: ['>'], subscribe: ['>'] };

export function natsAvailable(): boolean {
  return Boolean(process.env.RUNLEDGER_TEST_NATS);
}

export async function startTestNats({ users = [everybody] }: { users?: readonly NatsUser[] } = {}): Promise<TestNats> {
  const binary = process.env.RUNLEDGER_TEST_NATS;
  if (!binary) throw new Error('There is no nats-server for the tests: ask natsAvailable() first.');
  const dir = testDir('nats');
  const first = await startNats({ binary, dir, users, port: await freePort() });
  let current: Nats | undefined = first;
  const stop = async () => {
    await current?.stop();
    current = undefined;
  };
  return {
    url: first.url(users[0]?.user ?? ''),
    port: first.port,
    get pid() {
      return current?.pid ?? 0;
    },
    urlOf: (user) => first.url(user),
    stop,
    restart: async () => {
      await stop();
      current = await startNats({ binary, dir, users, port: first.port });
    },
    remove: () => stop().then(() => removeTestDir(dir)),
  };
}
