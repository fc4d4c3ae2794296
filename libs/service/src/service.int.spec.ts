import { describe, expect, test } from '@jest/globals';
import { correlation } from '#bus';
import { ConfigError, createLogger, readConfig } from './index.js';

const DATABASE_URL = 'postgres://u:p@localhost/runledger';

function faultsOf(env: NodeJS.ProcessEnv): string {
  try {
    readConfig(env);
    return '';
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
}

describe('the settings', () => {
  test('have defaults that are safe', () => {
    const config = readConfig({ DATABASE_URL });
    expect(config.RUNLEDGER_ADMIN_PASSWORD).toBeUndefined();
    expect(config).toMatchObject({
      ...{ HOST: '127.0.0.1', PORT: [8000], RUNLEDGER_RATE_LIMITS: true, RUNLEDGER_ALLOWED_ORIGINS: [] },
      ...{ RUNLEDGER_EXECUTOR_ON_STOP: 'keep', production: false },
    });
  });

  test('an empty one is an unset one', () => {
    const config = readConfig({ DATABASE_URL, PORT: '', RUNLEDGER_RATE_LIMITS: '', NATS_URL: '' });
    expect(config.NATS_URL).toBeUndefined();
    expect(config).toMatchObject({
      PORT: [8000],
      RUNLEDGER_RATE_LIMITS: true,
    });
  });

  test('name every fault at once, and no value: one may be a password', () => {
    const message = faultsOf({
      ...{ DATABASE_URL: 'mysql://root:hunter2secret@db/x', PORT: '80,99999', NATS_URL: 'http://x' },
      ...{ RUNLEDGER_ADMIN_PASSWORD: 'hunter2', RUNLEDGER_EXECUTOR_SLOTS: 'many', RUNLEDGER_INSTANCE: '../1' },
      ...{ RUNLEDGER_RATE_LIMITS: 'off', NODE_ENV: 'production', RUNLEDGER_EXECUTOR_ON_STOP: 'perhaps' },
    });
    const names = [
      ...['DATABASE_URL', 'PORT', 'NATS_URL', 'RUNLEDGER_ADMIN_PASSWORD', 'RUNLEDGER_EXECUTOR_SLOTS'],
      ...['RUNLEDGER_INSTANCE', 'RUNLEDGER_RATE_LIMITS', 'RUNLEDGER_EXECUTOR_ON_STOP'],
    ];
    expect(names.filter((name) => !message.includes(`${name}: `))).toEqual([]);
    expect(message).not.toContain('hunter2');
  });

  test.each(['off', 'false'])('without rate limits (%s) nothing runs in production', (value) => {
    const env = { DATABASE_URL, RUNLEDGER_RATE_LIMITS: value };
    expect(readConfig(env).RUNLEDGER_RATE_LIMITS).toBe(false);
    expect(faultsOf({ ...env, NODE_ENV: 'production' })).toContain('RUNLEDGER_RATE_LIMITS');
    expect(faultsOf({ DATABASE_URL, NODE_ENV: 'production' })).toBe('');
  });

  test('mail without a sender or a recipient, and an opening that is none, are faults', () => {
    const smtp = { DATABASE_URL, RUNLEDGER_SMTP_URL: 'smtp://mail.example.com' };
    expect(faultsOf(smtp)).toContain('RUNLEDGER_MAIL_TO');
    const complete = { ...smtp, RUNLEDGER_MAIL_FROM: 'a@example.com', RUNLEDGER_MAIL_TO: 'b@example.com' };
    expect(faultsOf({ ...complete, RUNLEDGER_OUTBOUND_ALLOW: 'mail.lan:25, 10.0.0.0/8' })).toBe('');
    expect(faultsOf({ DATABASE_URL, RUNLEDGER_OUTBOUND_ALLOW: 'mail.lan,10.0.0.0/99' })).toContain('OUTBOUND_ALLOW');
    expect(faultsOf({ DATABASE_URL, RUNLEDGER_NTFY_URL: 'file:///etc' })).toContain('RUNLEDGER_NTFY_URL');
  });

  test('no database is a fault', () => {
    expect(faultsOf({})).toContain('DATABASE_URL');
  });
});

describe('the log', () => {
  function logged(write: (log: ReturnType<typeof createLogger>) => void): string {
    let text = '';
    write(createLogger('test', 'debug', { write: (line: string) => void (text += line) }));
    return text;
  }

  test.each([
    'password',
    'token',
    'secret',
    'authorization',
    'cookie',
    'set-cookie',
    'access_token',
    'current',
    'next',
  ])('holds no %s, however deep', (field) => {
    const secret = { [field]: 'hunter2' };
    const text = logged((log) => {
      log.info(secret, 'flat');
      log.info({ request: secret }, 'one');
      log.info({ request: { headers: secret, name: 'kept' } }, 'two');
      log.info({ a: { b: { c: secret } } }, 'three');
      log.child(secret).info('of a child');
    });
    expect(text).not.toContain('hunter2');
    expect(text).toContain('kept');
    expect(text.trim().split('\n')).toHaveLength(5);
  });

  test('is a line of JSON each, whatever stands in it, with the correlation id of the work in hand', () => {
    const nasty = 'a\r\n{"level":"info"}\u001b[31m';
    const text = logged((log) => correlation.run('work-1', () => log.warn({ name: nasty }, nasty)));
    const lines = text.trimEnd().split('\n');
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0]!)).toMatchObject({
      ...{ level: 'warn', service: 'test', name: nasty, msg: nasty, correlationId: 'work-1' },
    });
    expect(text).not.toContain('\u001b');
  });
});
