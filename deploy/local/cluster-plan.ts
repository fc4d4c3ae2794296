/** What a local cluster consists of: its command line, and one child process for each instance of each service. */
import path from 'node:path';
import { parseArgs } from 'node:util';
import { type ServiceName } from '#bus';
import { type Environment } from './environment.js';
import { type ChildSpec } from './supervise.js';

export const services = [
  'gateway',
  'auth',
  'scheduler',
  'executor',
  'history',
] as const satisfies readonly ServiceName[];

/** Or a flood of output, read and told, would leave each process with a hundred MB of new space. */
const youngGeneration = '--max-semi-space-size=4';

export interface ClusterOptions {
  readonly counts: Readonly<Record<ServiceName, number>>;
  readonly port?: string;
  /** No example processes in an empty ledger. */
  readonly bare: boolean;
}

export interface Connections {
  readonly databaseUrl: string;
  readonly natsUrl: (service: ServiceName) => string;
}

export const usage =
  'npm run cluster -- [--gateways 1] [--auths 1] [--schedulers 1] [--executors 1] [--histories 1] [--port 8000] [--bare]';

export function readClusterOptions(argv: readonly string[]): ClusterOptions {
  const count = { type: 'string', default: '1' } as const;
  const options = { gateways: count, auths: count, schedulers: count, executors: count, histories: count } as const;
  const { values } = parseArgs({
    args: [...argv],
    options: { ...options, port: { type: 'string' }, bare: { type: 'boolean', default: false } },
  });
  const counts = {
    gateway: countOf('gateways', values.gateways),
    auth: countOf('auths', values.auths),
    scheduler: countOf('schedulers', values.schedulers),
    executor: countOf('executors', values.executors),
    history: countOf('histories', values.histories),
  };
  return { counts, port: values.port, bare: values.bare };
}

/** `dist` is the folder that the compiler writes; each command line names its service. */
export function planChildren(
  dist: string,
  { counts, bare }: ClusterOptions,
  environment: Environment,
  { databaseUrl, natsUrl }: Connections,
): ChildSpec[] {
  return services.flatMap((service) =>
    Array.from({ length: counts[service] }, (_, index) => ({
      name: `${service}-${index + 1}`,
      args: [youngGeneration, path.join(dist, 'apps', service, 'src/main.js'), service, String(index + 1)],
      env: {
        ...process.env,
        DATABASE_URL: databaseUrl,
        NATS_URL: natsUrl(service),
        RUNLEDGER_DATA: environment.dataDir,
        RUNLEDGER_INSTANCE: String(index + 1),
        RUNLEDGER_EXECUTOR_ON_STOP: 'end',
        ...(bare ? { RUNLEDGER_BARE: 'on' } : {}),
        ...(service === 'gateway' ? { HOST: environment.host, PORT: portsOf(environment, index).join(',') } : {}),
      },
    })),
  );
}

/** The first gateway listens on every port that was asked for, the further ones on those after the highest. */
export function portsOf({ ports }: Environment, index: number): readonly number[] {
  return index === 0 ? ports : [Math.max(...ports) + index];
}

function countOf(option: string, text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 0 || count > 64) {
    throw new Error(`--${option} must be a number from 0 to 64, not "${text}". ${usage}`);
  }
  return count;
}
