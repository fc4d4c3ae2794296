/** Which server is meant, and the token that it gave: one a server, so none is ever sent to another. */
import { chmodSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Failure, misuse } from './failure.js';

interface Credentials {
  /** The server of the last login. */
  url?: string;
  tokens: Record<string, string>;
}

const usual = 'http://127.0.0.1:8000';

export const credentialsFile = (): string =>
  path.join(process.env.XDG_CONFIG_HOME || path.join(os.homedir(), '.config'), 'runledger', 'credentials.json');

/** `--url`, else `RUNLEDGER_URL`, else the server of the last login, else where `npm start` listens. */
export function serverUrl(given: string | undefined): string {
  const named = given ?? (process.env.RUNLEDGER_URL || undefined);
  if (named === undefined) return read().url ?? usual;
  const url = URL.canParse(named) ? new URL(named) : null;
  if (!url || !/^https?:$/.test(url.protocol)) throw misuse(`"${named}" is no URL of a server: http://host:port`);
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`;
}

export const tokenFor = (url: string): string | undefined => process.env.RUNLEDGER_TOKEN || read().tokens[url];

/** Others may not read it; it is there in whole or not at all. */
export function keepToken(url: string, token: string): void {
  const file = credentialsFile();
  const credentials: Credentials = { url, tokens: { ...read().tokens, [url]: token } };
  const draft = `${file}.${process.pid}`;
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  writeFileSync(draft, `${JSON.stringify(credentials, null, 2)}\n`, { mode: 0o600 });
  chmodSync(draft, 0o600);
  renameSync(draft, file);
}

function read(): Credentials {
  const file = credentialsFile();
  try {
    const { url, tokens } = JSON.parse(readFileSync(file, 'utf8')) as Partial<Credentials>;
    return { ...(url ? { url } : {}), tokens: tokens ?? {} };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { tokens: {} };
    throw new Failure(`${file} cannot be read (${(error as Error).message}): remove it and run "runledger login".`);
  }
}
