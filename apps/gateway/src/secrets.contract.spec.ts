/** Twenty canaries in the environment, printed in every way; then everything that is kept and answered is searched for them. */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { adminOf, type Client, eventually, signIn, startStack, type Stack } from '#testing';
import { Watcher } from './live/live.harness.js';
import { addUser } from './live/second-user.harness.js';
import {
  define,
  ended,
  eventsOf,
  outputOf,
  requestRun,
  runToEnd,
  sh,
  type Process,
  type Run,
} from './surfaces/native/native.harness.js';

let stack: Stack;
let admin: Client;
let watcher: Watcher;
beforeAll(async () => {
  stack = await startStack(topology, { RUNLEDGER_LOG_LEVEL: 'trace' });
  admin = await adminOf(stack);
  watcher = await new Watcher(stack.url, { token: admin.header('authorization').slice('Bearer '.length) }).in();
  await watcher.say('subscribe', { room: 'events', after: '0' });
}, 90_000);
afterAll(async () => {
  watcher.leave();
  await stack.stop();
}, 60_000);

const half = () => randomBytes(12).toString('hex');
/** What must be found nowhere: either half, as it is and in base64 wherever it stands within a text. */
const needles: string[] = [];
function canary(): string {
  const halves = [half(), half()];
  for (const each of halves) {
    const shifted = [0, 1, 2].map((before) =>
      Buffer.from(' '.repeat(before) + each)
        .toString('base64')
        .slice(4, -4),
    );
    needles.push(each, ...shifted);
  }
  return `${halves[0]}"\\ü/${halves[1]}`;
}
const canaries = Array.from({ length: 20 }, canary);
/** No secret: shows that a search finds what is there. */
const open = `open-${half()}`;

const print = `i=0; while [ $i -lt 20 ]; do
  eval "v=\\\${\${prefix}$i}"
  echo "plain $v"; echo "error $v" >&2
  rest=\${v#????????????????}; printf 'split %s' "\${v%"$rest"}"; sleep 0.02; printf '%s\\n' "$rest"
  printf 'base64 '; printf %s "$v" | base64 -w0; echo; printf 'header '; printf %s "user:$v" | base64 -w0; echo
  printf 'json "%s"\\n' "$(printf %s "$v" | sed 's/["\\\\]/\\\\&/g')"
  i=$((i+1)); done
printf '##runledger {"ops": 20, "message": "the last was %s"}\\n' "$(printf %s "$v" | sed 's/["\\\\]/\\\\&/g')"
echo "$OPEN"`;
const marked = Object.fromEntries(canaries.map((secret, i) => [`VALUE${i}`, { secret }]));
const named = Object.fromEntries(canaries.map((secret, i) => [`API_TOKEN_${i}`, secret]));
const loud = { env: { ...marked, OPEN: open, prefix: 'VALUE' } };
const length = (name: string) => `printf %s "$${name}" | wc -c`;
const characters = Buffer.byteLength(canaries[0]!);

const patch = <T>(id: string, body: object) => admin.call<T>('PATCH', `/api/v1/processes/${id}`, body);
const runOf = async ({ id }: { id: string }) =>
  ended(admin, (await admin.post<Run>(`/api/v1/processes/${id}/run`)).body);
const held = (text: string | Buffer) => needles.filter((needle) => text.includes(needle));

let process: Process;
let runs: Run[];
let job: string;
beforeAll(async () => {
  const key = { 'idempotency-key': half() };
  process = await define(admin, {
    name: 'loud',
    action: sh(print, loud),
    triggers: [{ cron: '0 3 1 1 *', zone: 'UTC' }],
  });
  const asked = await admin.post<Run>('/api/v1/runs', { action: sh(print, loud) }, key);
  await watcher.say('subscribe', { room: `run:${asked.body.id}` });
  const body = { command: ['/bin/sh', '-c', print], env: { ...named, OPEN: open, prefix: 'API_TOKEN_' } };
  job = (await admin.post<{ id: string }>('/api/v1/jobs', body, { 'idempotency-key': half() })).body.id;
  const first = await ended(admin, asked.body);
  const retried = (await admin.post<Run>(`/api/v1/runs/${first.id}/retry`)).body;
  runs = [first, await runOf(process), await ended(admin, retried), await ended(admin, { id: job })];
}, 90_000);

test('commands get them, and what they print is kept without them', async () => {
  for (const run of runs) {
    expect(run).toMatchObject({ status: 'succeeded', ops: 20, message: 'the last was ***' });
    const lines = (await outputOf(admin, run.id, '?stream=stdout')).trim().split('\n');
    expect(lines.at(-1)).toBe(open);
    const wanted = [
      'plain ***',
      'split ***',
      'base64 ***',
      expect.stringMatching(/^header .{4,8}\*\*\*.{0,4}$/),
      'json "***"',
    ];
    expect(lines.slice(0, -1)).toEqual(Array.from({ length: 20 }, () => wanted).flat());
    expect(await outputOf(admin, run.id, '?stream=stderr')).toBe('error ***\n'.repeat(20));
  }
});

test('answers say that there is one, and not which', async () => {
  const shown = { env: { VALUE0: { secret: true }, VALUE19: { secret: true }, OPEN: open } };
  expect(process.action).toMatchObject(shown);
  for (const run of runs.slice(0, 3)) expect(run.action).toMatchObject(shown);
  const { body } = await admin.get<{ env: object }>(`/api/v1/jobs/${job}`);
  expect(body.env).toMatchObject({ API_TOKEN_0: '***', API_TOKEN_19: '***', OPEN: open });
  expect((await admin.get<{ env: object }>(`/api/v1/jobs/${runs[0]!.id}`)).body.env).toMatchObject({ VALUE0: '***' });
  const [birth] = await eventsOf(admin, runs[0]!.id);
  expect(birth!.data).toMatchObject({ action: { env: { VALUE0: { sealed: expect.any(String) }, OPEN: open } } });
});

describe('a revision', () => {
  test('that comes with what was answered keeps the secret; another value replaces it', async () => {
    const env = { A_TOKEN: canaries[0]!, PLAIN: 'x' };
    const made = await define(admin, { action: sh(length('A_TOKEN'), { env }) });
    expect(made.action).toMatchObject({ env: { A_TOKEN: { secret: true }, PLAIN: 'x' } });
    const kept = await patch<Process>(made.id, { revision: 1, action: { ...made.action, cwd: '/' } });
    expect([kept.status, kept.body.action]).toEqual([200, { ...made.action, cwd: '/' }]);
    expect((await outputOf(admin, (await runOf(made)).id)).trim()).toBe(String(characters));
    await patch(made.id, { revision: 2, description: 'nothing else' });
    const other = { ...made.action, env: { A_TOKEN: { secret: 'four' } } };
    expect((await patch(made.id, { revision: 3, action: other })).status).toBe(200);
    expect((await outputOf(admin, (await runOf(made)).id)).trim()).toBe('4');
    const { text } = await admin.get(`/api/v1/processes/${made.id}/revisions`);
    expect([held(text), text.match(/"A_TOKEN":\{"secret":true\}/g)?.length]).toEqual([[], 4]);
  });

  test('cannot keep what there is not, nor can anything new', async () => {
    const action = sh('true', { env: { NEW_TOKEN: { secret: true } } });
    const made = await define(admin, {});
    for (const answer of [
      await patch<{ errors: object[] }>(made.id, { revision: 1, action }),
      await admin.post<{ errors: object[] }>('/api/v1/runs', { action }),
      await admin.post<{ errors: object[] }>('/api/v1/processes', { name: 'x', action }),
    ]) {
      expect([answer.status, answer.body.errors]).toEqual([
        422,
        [{ path: expect.stringMatching(/^action\.env\.NEW_TOKEN/), message: expect.any(String) }],
      ]);
    }
  });
});

test('a value stored for one variable cannot be named for another', async () => {
  const [birth] = await eventsOf(admin, runs[0]!.id);
  const { env } = (birth!.data as { action: { env: Record<string, object> } }).action;
  const { status } = await admin.post('/api/v1/runs', { action: sh('true', { env: { VALUE0: env['VALUE0'] } }) });
  expect(status).toBe(422);
});

test('a retired process drops its own hold; its runs keep theirs', async () => {
  const made = await define(admin, { action: sh(length('A_TOKEN'), { env: { A_TOKEN: canaries[1]! } }) });
  const run = await runOf(made);
  expect((await admin.call('DELETE', `/api/v1/processes/${made.id}`)).status).toBe(204);
  const again = (await admin.post<Run>(`/api/v1/runs/${run.id}/retry`)).body;
  await ended(admin, again);
  expect((await outputOf(admin, again.id)).trim()).toBe(String(characters));
});

describe('no canary is', () => {
  test('in an answer to what is wrong', async () => {
    const secret = canaries[2]!;
    const action = sh('true', { env: marked });
    const native: object[] = [
      { action, policies: { timeout: secret } },
      { action: { ...action, env: { 'A TOKEN': { secret } } } },
      { action: { ...action, env: { A_TOKEN: { secret: [secret] } } } },
      { action: { ...action, env: { A_TOKEN: { secret: `${secret}\u0000` } } } },
      { action: { ...action, env: `A_TOKEN=${secret}` } },
      { action: { ...action, env: { ...marked, LD_PRELOAD: { secret } } } },
    ];
    const jobs: object[] = [
      { env: { 'API TOKEN': secret } },
      { env: `API_TOKEN=${secret}` },
      { env: { API_KEY: [secret] } },
      { env: named, priority: 99 },
      { env: { API_KEY: `${secret}\u0000` } },
    ];
    const answers = [
      ...(await Promise.all(native.map((body) => admin.post('/api/v1/runs', body)))),
      ...(await Promise.all(native.map((body) => admin.post('/api/v1/processes', { name: 'x', ...body })))),
      ...(await Promise.all(native.map((body) => patch(process.id, { revision: 1, ...body })))),
      ...(await Promise.all(jobs.map((body) => admin.post('/api/v1/jobs', { command: ['true'], ...body })))),
    ];
    for (const { status, text } of answers) expect([status, held(text)]).toEqual([422, []]);
  });

  test('in any table', async () => {
    const dump = await tables(stack.databaseUrl);
    expect(dump.includes(open) && dump.includes('VALUE19')).toBe(true);
    expect(held(dump)).toEqual([]);
  });

  test('in any answer to whoever asks, event, list or output', async () => {
    const { body } = await admin.get<{ paths: Record<string, object> }>('/api/v1/openapi.json');
    const paths = Object.entries(body.paths).flatMap(([route, methods]) => ('get' in methods ? [route] : []));
    const ids = [...runs.map(({ id }) => id), ...runs.map(({ number }) => number), process.id, process.number];
    const asked = paths.flatMap((route) =>
      route.includes('{') ? ids.map((id) => route.replaceAll(/\{\w+\}/g, String(id))) : [route],
    );
    expect(asked).toEqual(expect.arrayContaining([`/api/v1/runs/${runs[0]!.id}/output`, '/api/v1/events']));
    await addUser(stack.databaseUrl, 'watching', 'viewer');
    let shown = '';
    for (const who of [admin, await signIn(stack, 'watching')]) {
      for (const route of [...asked, '/api/v1/events?limit=1000', '/api/v1/runs?limit=1000', '/api/v1/jobs']) {
        for (const accept of ['*/*', 'application/x-ndjson']) {
          const { text } = await who.get(route, { accept });
          expect([route, held(text)]).toEqual([route, []]);
          shown += text;
        }
      }
    }
    expect(shown.split(open).length).toBeGreaterThan(20);
  }, 60_000);

  test('in what sockets were told, in any file, or in any log', async () => {
    const files = readdirSync(stack.dataDir, { recursive: true, withFileTypes: true }).filter((file) => file.isFile());
    expect(files.map(({ name }) => name)).toEqual(expect.arrayContaining(['master-key', 'launcher.log']));
    for (const { parentPath, name } of files) {
      expect([name, held(readFileSync(path.join(parentPath, name)))]).toEqual([name, []]);
    }
    const told = () => JSON.stringify([watcher.events, watcher.pieces]);
    await eventually('the sockets', () => Promise.resolve(told().includes(open) && watcher.pieces.length > 0));
    expect(held(told())).toEqual([]);
    const logs = stack.logs();
    expect([logs.includes(runs[0]!.id), held(logs)]).toEqual([true, []]);
  });
});

test('npm run rotate-master-key: what is stored opens with the new key, and the old one can go', async () => {
  const file = path.join(stack.dataDir, 'master-key');
  const former = readFileSync(file, 'utf8').trim();
  const env = { ...globalThis.process.env, DATABASE_URL: stack.databaseUrl, RUNLEDGER_DATA: stack.dataDir };
  const rotate = (...more: string[]) =>
    execFileSync(globalThis.process.execPath, ['dist/deploy/local/rotate-master-key.js', ...more], { env }).toString();
  const works = async () => {
    const again = (await admin.post<Run>(`/api/v1/runs/${runs[0]!.id}/retry`)).body;
    expect(await ended(admin, again)).toMatchObject({ status: 'succeeded', message: 'the last was ***' });
    const action = sh(length('A_TOKEN'), { env: { A_TOKEN: canaries[3]! } });
    expect((await outputOf(admin, (await runToEnd(admin, action)).id)).trim()).toBe(String(characters));
  };
  expect(rotate()).toMatch(/Secrets wrapped with it: [1-9]\d*/);
  await works();
  expect(rotate('--finish')).toContain('former keys taken out: 1');
  expect(readFileSync(file, 'utf8')).not.toContain(former);
  await works();
}, 90_000);

test('purging the last run that holds a secret destroys it', async () => {
  const run = await runToEnd(admin, sh(length('A_TOKEN'), { env: { A_TOKEN: canaries[4]! } }));
  const again = await ended(admin, (await admin.post<Run>(`/api/v1/runs/${run.id}/retry`)).body);
  const [birth] = await eventsOf(admin, run.id);
  const { env } = (birth!.data as { action: { env: Record<string, { sealed: string }> } }).action;
  const rows = async () =>
    (await query(stack.databaseUrl, 'select from secret where id = $1', [env['A_TOKEN']!.sealed])).length;
  const purge = async ({ id }: Run) =>
    expect((await admin.call('DELETE', `/api/v1/jobs/${id}/purge`)).status).toBe(200);
  await purge(run);
  expect(await rows()).toBe(1);
  await purge(again);
  expect(await rows()).toBe(0);
});

test('a secret that was destroyed is told by the run that needs it', async () => {
  const run = await requestRun(admin, sh('true', { env: { A_TOKEN: canaries[4]! } }), {});
  await ended(admin, run);
  await query(stack.databaseUrl, `select secret_drop($1, '{}', now())`, [JSON.stringify([{ n: 0, run: run.id }])]);
  const again = await ended(admin, (await admin.post<Run>(`/api/v1/runs/${run.id}/retry`)).body);
  expect(again).toMatchObject({ status: 'failed', reason: 'the secret in A_TOKEN was destroyed' });
});

async function query<T extends object>(url: string, text: string, values: unknown[] = []): Promise<T[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<T>(text, values)).rows;
  } finally {
    await client.end();
  }
}

/** Every column of every table: bytes as they are, the rest as text; the output in the order of its streams, joined. */
async function tables(url: string): Promise<Buffer> {
  const columns = await query<{ name: string; column: string; bytes: boolean }>(
    url,
    `select format('%I.%I', table_schema, table_name) as name, quote_ident(column_name) as column, data_type = 'bytea' as bytes
    from information_schema.columns join information_schema.tables using (table_schema, table_name)
    where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema')`,
  );
  const parts: Buffer[] = [];
  for (const { name, column, bytes } of columns) {
    const order = name.endsWith('run_output') ? 'order by run_id, attempt, stream, seq' : '';
    const cells = await query<{ cell: Buffer | string | null }>(
      url,
      `select ${bytes ? column : `${column}::text`} as cell from ${name} ${order}`,
    );
    for (const { cell } of cells) parts.push(Buffer.from(cell ?? ''), ...(bytes ? [] : [Buffer.from('\n')]));
  }
  return Buffer.concat(parts);
}
