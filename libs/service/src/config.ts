import { availableParallelism, hostname } from 'node:os';
import path from 'node:path';
import { z } from 'zod';
import { duration, parseDuration } from '#domain';
import { opening } from './outbound.js';

const ports = z
  .string()
  .transform((list) => list.split(',').map(Number))
  .pipe(z.array(z.int().min(0).max(65_535)).min(1));
const count = (otherwise: number, min: number, max: number) =>
  z.string().default(String(otherwise)).transform(Number).pipe(z.int().min(min).max(max));
const list = (separator: string) =>
  z
    .string()
    .default('')
    .transform((value) => value.split(separator).filter(Boolean));
const yes = (otherwise: 'true' | 'false') =>
  z
    .enum(['true', 'false', 'on', 'off'])
    .default(otherwise)
    .transform((value) => value === 'true' || value === 'on');

const time = (min: number, max: number) => duration(min, max).transform((value) => parseDuration(value)!);
const day = 86_400_000;
const retention = {
  RUNLEDGER_RETENTION_AGE: time(1_000, 36_500 * day)
    .nullable()
    .default(null),
  RUNLEDGER_RETENTION_COUNT: z
    .string()
    .transform(Number)
    .pipe(z.int().min(1).max(1_000_000_000))
    .nullable()
    .default(null),
};

const notices = {
  RUNLEDGER_NTFY_URL: z.url({ protocol: /^https?$/ }).optional(),
  RUNLEDGER_NTFY_TOKEN: z.string().optional(),
  RUNLEDGER_SMTP_URL: z.url({ protocol: /^smtps?$/ }).optional(),
  RUNLEDGER_MAIL_FROM: z.string().optional(),
  RUNLEDGER_MAIL_TO: z.string().optional(),
};

/** Every setting there is; `docs/configuration.md` lists them for people. An empty one is an unset one. */
const settings = z.object({
  PORT: ports.default([8000]),
  HOST: z.string().default('127.0.0.1'),
  RUNLEDGER_DATA: z.string().default('.runledger'),
  DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/ }),
  NATS_URL: z.url({ protocol: /^(nats|tls)$/ }).optional(),
  RUNLEDGER_INSTANCE: z
    .string()
    .regex(/^[\w-]{1,32}$/)
    .default('1'),
  RUNLEDGER_ADMIN_USERNAME: z.string().min(1).max(64).default('admin'),
  RUNLEDGER_ADMIN_EMAIL: z.email().default('admin@example.com'),
  RUNLEDGER_ADMIN_PASSWORD: z.string().min(8).max(1_024).optional(),
  RUNLEDGER_MASTER_KEY_FILE: z.string().optional(),
  RUNLEDGER_BARE: yes('false'),
  RUNLEDGER_ALLOWED_ORIGINS: list(','),
  RUNLEDGER_ALLOWED_ROOTS: list(':'),
  RUNLEDGER_OUTBOUND_ALLOW: list(',').pipe(z.array(opening)),
  ...notices,
  RUNLEDGER_JOBS_PREFIX: z
    .string()
    .regex(/^(\/[\w.-]+)+$/)
    .default('/api/v1'),
  RUNLEDGER_RATE_LIMITS: yes('true'),
  RUNLEDGER_RATE_AUTH_PER_MINUTE: count(5, 1, 100_000),
  RUNLEDGER_RATE_PER_MINUTE: count(100, 1, 1_000_000),
  RUNLEDGER_TOKEN_MINUTES: count(24 * 60, 1, 60 * 24 * 365),
  RUNLEDGER_EXECUTOR_SLOTS: count(8 * availableParallelism(), 1, 10_000),
  RUNLEDGER_EXECUTOR_QUEUES: list(','),
  RUNLEDGER_EXECUTOR_NAME: z
    .string()
    .regex(/^[\w.-]{1,64}$/)
    .default(hostname()),
  RUNLEDGER_KILL_GRACE_SECONDS: count(10, 0, 3_600),
  RUNLEDGER_EXECUTOR_ON_STOP: z.enum(['keep', 'end']).default('keep'),
  RUNLEDGER_OUTPUT_LIMIT: count(10 * 1_048_576, 65_536, 1_073_741_824),
  ...retention,
  RUNLEDGER_RETENTION_EVERY: time(1_000, day).default(3_600_000),
  RUNLEDGER_POOL: count(8, 2, 100),
  RUNLEDGER_ANSWER_SECONDS: count(2, 1, 60),
  RUNLEDGER_METRICS_PORT: count(0, 0, 65_535),
  RUNLEDGER_METRICS_TOKEN: z.string().min(16).optional(),
  RUNLEDGER_LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
  NODE_ENV: z.string().default('development'),
});

export type Settings = z.infer<typeof settings>;
export interface Config extends Settings {
  production: boolean;
  /** Absolute. */
  dataDir: string;
  /** Absolute. */
  masterKeyFile: string;
}

export class ConfigError extends Error {}

/** Reads and checks the environment once; says every fault at once, by name. */
export function readConfig(env: NodeJS.ProcessEnv): Config {
  const given = nonEmpty(env);
  const parsed = settings.safeParse(given);
  const faults = faultsOf(parsed.error);
  const production = given.NODE_ENV === 'production';
  if (production && ['off', 'false'].includes(given.RUNLEDGER_RATE_LIMITS ?? '')) {
    faults.push('RUNLEDGER_RATE_LIMITS: cannot be off while NODE_ENV is production');
  }
  if (given.RUNLEDGER_SMTP_URL && !(given.RUNLEDGER_MAIL_FROM && given.RUNLEDGER_MAIL_TO)) {
    faults.push('RUNLEDGER_SMTP_URL: mail needs RUNLEDGER_MAIL_FROM and RUNLEDGER_MAIL_TO');
  }
  if (faults.length > 0 || !parsed.data) throw new ConfigError(`Settings that cannot be used: ${faults.join('; ')}`);
  const config = parsed.data;
  const dataDir = path.resolve(config.RUNLEDGER_DATA);
  return { ...config, production, dataDir, masterKeyFile: masterKeyFile(config.RUNLEDGER_MASTER_KEY_FILE, dataDir) };
}

/** Where the keys are that secrets are wrapped with. */
export const masterKeyFile = (setting: string | undefined, dataDir: string): string =>
  path.resolve(setting || path.join(dataDir, 'master-key'));

/** The limits of retention alone, for a tool that is no service. */
export function readRetention(env: NodeJS.ProcessEnv): Pick<Settings, keyof typeof retention> {
  const { data, error } = z.object(retention).safeParse(nonEmpty(env));
  if (!data) throw new ConfigError(`Settings that cannot be used: ${faultsOf(error).join('; ')}`);
  return data;
}

const nonEmpty = (env: NodeJS.ProcessEnv) =>
  Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
const faultsOf = (error: z.ZodError | undefined) =>
  (error?.issues ?? []).map(({ path: [name], message }) => `${String(name)}: ${message}`);
