import { type LoggerService } from '@nestjs/common';
import { type DestinationStream, pino, type Logger } from 'pino';
import { correlation } from '#bus';

export type Log = Logger;

const secretFields = ['password', 'token', 'secret', 'authorization', 'cookie', 'access_token', 'current', 'next'];
const redacted = [
  ...secretFields.flatMap((field) => [field, `*.${field}`, `*.*.${field}`, `*.*.*.${field}`]),
  ...['["set-cookie"]', '*["set-cookie"]', '*.*["set-cookie"]', '*.*.*["set-cookie"]'],
];

/** JSON lines on standard output; secrets cut out by field name, the correlation id of the work in hand put in. */
export function createLogger(name: string, level: string, destination?: DestinationStream): Log {
  const options = {
    level,
    base: { service: name },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: { paths: redacted, censor: '[redacted]' },
    mixin: () => {
      const correlationId = correlation.current();
      return correlationId ? { correlationId } : {};
    },
  };
  return destination ? pino(options, destination) : pino(options, pino.destination({ dest: 1, sync: false }));
}

/** Nest's own lines, through the same logger; its start-up chatter only when somebody debugs. */
export function nestLogger(log: Log): LoggerService {
  const write =
    (level: 'debug' | 'warn' | 'error') =>
    (message: unknown, ...rest: unknown[]) => {
      const context = rest.at(-1);
      if (message instanceof Error) log[level]({ err: message, context }, message.message);
      else log[level]({ context, ...(rest.length > 1 ? { detail: rest[0] } : {}) }, String(message));
    };
  return {
    log: write('debug'),
    debug: write('debug'),
    verbose: write('debug'),
    warn: write('warn'),
    error: write('error'),
    fatal: write('error'),
  };
}
