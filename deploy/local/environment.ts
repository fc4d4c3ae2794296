/** The settings that decide what a local start runs and where; everything else is read by the services themselves. */
import { existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';

export interface Environment {
  readonly ports: readonly number[];
  readonly host: string;
  /** Absolute. */
  readonly dataDir: string;
  readonly databaseUrl?: string;
  readonly natsUrl?: string;
}

const port = z.string().transform(Number).pipe(z.int().min(1).max(65_535));
const settings = z.object({
  PORT: z
    .string()
    .transform((list) => list.split(','))
    .pipe(z.array(port)),
  HOST: z.string().default('127.0.0.1'),
  RUNLEDGER_DATA: z.string().default('.runledger'),
  DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/ }).optional(),
  NATS_URL: z.url({ protocol: /^(nats|tls)$/ }).optional(),
});

/** An empty setting is an unset one. */
export function readEnvironment(env: NodeJS.ProcessEnv = process.env): Environment {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
  const parsed = settings.safeParse({ PORT: '8000', ...given });
  if (!parsed.success) {
    const faults = parsed.error.issues.map(
      (issue) => `${issue.path[0]?.toString() ?? 'environment'}: ${issue.message}`,
    );
    throw new Error(`Settings that cannot be used: ${faults.join('; ')}`);
  }
  const { PORT, HOST, RUNLEDGER_DATA, DATABASE_URL, NATS_URL } = parsed.data;
  return {
    ports: PORT,
    host: HOST,
    dataDir: path.resolve(RUNLEDGER_DATA),
    databaseUrl: DATABASE_URL,
    natsUrl: NATS_URL,
  };
}

/** Root's data folder lets others pass, but not look: PostgreSQL runs in it as the user postgres. */
export function prepareDataDir(dir: string): void {
  mkdirSync(dir, { recursive: true, mode: process.getuid?.() === 0 ? 0o711 : 0o700 });
}

/** The repository, seen from the sources as well as from dist. */
export function projectRoot(from: string = import.meta.dirname): string {
  if (existsSync(path.join(from, 'package.json'))) return from;
  const parent = path.dirname(from);
  if (parent === from)
    throw new Error('Runledger was started outside its own folder: there is no package.json above it.');
  return projectRoot(parent);
}
