import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { adminOf, eventually, freePort, removeTestDir, sharedStack, testDir, type Client, type Stack } from '#testing';
import { Cli } from './cli.harness.js';
import { type Process, type Run } from './shapes.js';

let stack: Stack;
let admin: Client;
let cli: Cli;
const dir = testDir('cli');
beforeAll(async () => {
  stack = await sharedStack(topology);
  admin = await adminOf(stack);
  cli = new Cli(path.join(dir, 'home'), { RUNLEDGER_URL: stack.url });
  expect((await cli.start(['login', '-u', 'admin', '--password-stdin'], `${stack.adminPassword}\n`).ended).code).toBe(
    0,
  );
}, 90_000);
afterAll(async () => {
  await stack.stop();
  removeTestDir(dir);
}, 60_000);

const uuid = /^[0-9a-f-]{36}$/;
const idIn = (text: string): string => /[0-9a-f]{8}-[0-9a-f-]{27}/.exec(text)?.[0] ?? 'no id';
const sh = (line: string) => ['--', '/bin/sh', '-c', line];
const read = async (id: string): Promise<Run> => (await admin.get<Run>(`/api/v1/runs/${id}`)).body;
const ended = (id: string) =>
  eventually('the end of a run', async () => {
    const run = await read(id);
    return run.finishedAt !== null && run;
  });
const submitted = async (line: string) => (await cli.run('submit', ...sh(line))).stdout.trim();
/** A line of shell that waits until the test says go. */
const gate = (name: string) => {
  const file = path.join(dir, name);
  return { wait: `while [ ! -e ${file} ]; do sleep 0.05; done`, open: () => writeFileSync(file, '') };
};
async function define(name: string, more: object = {}): Promise<string> {
  const action = { kind: 'command', shell: `echo from ${name}` };
  const { status, body } = await admin.post<Process>('/api/v1/processes', { name, action, ...more });
  expect(status).toBe(201);
  return body.id;
}

describe('login', () => {
  test('keeps the token where only its owner can read it', async () => {
    const { mode } = statSync(cli.credentials);
    expect((mode & 0o777).toString(8)).toBe('600');
    expect(await cli.json('login', '--username', 'admin', '--password', stack.adminPassword)).toEqual({
      ...{ url: stack.url, username: 'admin', credentials: cli.credentials },
    });
    expect((statSync(cli.credentials).mode & 0o777).toString(8)).toBe('600');
  });

  test('the server of the last login is the one that is meant', async () => {
    const { code } = await cli.with({ RUNLEDGER_URL: '' }).run('list');
    expect(code).toBe(0);
  });

  test('a wrong password, a missing name, no terminal to ask on', async () => {
    expect(await cli.run('login', '-u', 'admin', '--password', 'wrong')).toEqual({
      ...{ code: 1, stdout: '', stderr: `runledger: ${stack.url} knows nobody with this name and password.\n` },
    });
    expect(await cli.run('login')).toMatchObject({ code: 2, stderr: expect.stringContaining('--username') });
    const unasked = await cli.run('login', '-u', 'admin');
    expect(unasked).toMatchObject({ code: 2, stderr: expect.stringContaining('--password-stdin') });
  });

  test('without it: one line that says so; RUNLEDGER_TOKEN stands in for it', async () => {
    const stranger = new Cli(path.join(dir, 'stranger'), { RUNLEDGER_URL: stack.url });
    const stderr = `runledger: You are not signed in to ${stack.url}: run "runledger login --url ${stack.url}".\n`;
    expect(await stranger.run('list')).toEqual({ code: 1, stdout: '', stderr });
    const token = admin.header('authorization').replace('Bearer ', '');
    expect(await stranger.with({ RUNLEDGER_TOKEN: token }).run('list')).toMatchObject({ code: 0 });
    expect(await cli.with({ RUNLEDGER_TOKEN: 'x' }).run('list')).toMatchObject({
      ...{ code: 1, stderr: expect.stringContaining('RUNLEDGER_TOKEN') },
    });
  });

  test('no token goes to another server', async () => {
    const { code, stderr } = await cli.run('list', '--url', stack.otherUrl);
    expect([code, stderr]).toEqual([1, expect.stringContaining('not signed in')]);
  });
});

describe('faults', () => {
  test('nobody listens', async () => {
    const url = `http://127.0.0.1:${await freePort()}`;
    const stderr = `runledger: Nothing listens at ${url}: start Runledger there, or name its address with --url.\n`;
    expect(await cli.run('list', '--url', url)).toEqual({ code: 1, stdout: '', stderr });
  });

  test.each<[string[], number, string]>([
    [['show', '0198c0de-0000-7000-8000-000000000000'], 1, 'No such run'],
    [['show', 'nonsense'], 2, '"nonsense" is no id'],
    [['show'], 2, 'Usage: runledger show ID'],
    [['list', '--status', 'odd'], 1, 'status: '],
    [['list', '--limit', '0'], 2, '--limit takes a whole number from 1'],
    [['list', '--odd'], 2, `Unknown option '--odd'`],
    [['submit'], 2, 'What shall run?'],
    [['submit', 'ls', '-l'], 2, 'goes after "--"'],
    [['submit', '--env', 'odd', '--', 'true'], 2, '--env takes NAME=VALUE'],
    [['submit', '--queue', 'an odd one', '--', 'true'], 1, 'queue: '],
    [['process', 'run', 'nobody'], 1, 'No process is called "nobody"'],
    [['process'], 2, 'process list or process run'],
    [['process', 'why', 'nobody'], 1, 'No process is called "nobody"'],
    [['process', 'why', '--hours', '0', 'x'], 2, '--hours takes a whole number from 1'],
    [['odd'], 2, 'There is no command "odd"'],
    [['list', '--url', 'odd'], 2, '"odd" is no URL'],
  ])('%j ends with %i: %s', async (args, code, words) => {
    expect(await cli.run(...args)).toEqual({ code, stdout: '', stderr: expect.stringContaining(words) });
  });

  test('whoever has read enough is no fault to tell of', async () => {
    const going = cli.start(['--help']);
    going.child.stdout!.destroy();
    expect((await going.ended).stderr).toBe('');
  });
});

test('--help explains every command, --version says which', async () => {
  const { code, stdout } = await cli.run('--help');
  const names = [...stdout.matchAll(/^ {2}(process \w+|\w+) {2}/gm)].map(([, name]) => name!);
  expect([code, names]).toEqual([0, expect.arrayContaining(['login', 'submit', 'batch', 'process run', 'verify'])]);
  for (const name of names) {
    const help = await cli.run(...name.split(' '), '--help');
    expect(help).toEqual({ code: 0, stderr: '', stdout: expect.stringContaining(`Usage: runledger ${name}`) });
  }
  expect((await cli.run('--version')).stdout).toMatch(/^runledger \d+\.\d+\.\d+\n$/);
});

describe('submit', () => {
  test('prints the id of the run', async () => {
    const { code, stdout, stderr } = await cli.run('submit', '--', 'true');
    expect([code, stdout.trim(), stderr]).toEqual([0, expect.stringMatching(uuid), '']);
    expect(await ended(stdout.trim())).toMatchObject({ status: 'succeeded' });
  });

  test('carries name, variables, folder and priority', async () => {
    mkdirSync(path.join(dir, 'work'));
    const settings = ['--name', 'all of it', '-e', 'A=1', '-e', 'B=x=y', '--cwd', path.join(dir, 'work')];
    const more = ['--priority', '7', '--queue', 'default'];
    const { stdout } = await cli.run('submit', '--json', ...settings, ...more, '--', 'ls', '--', '-f');
    const action = { command: ['ls', '--', '-f'], cwd: path.join(dir, 'work'), env: { A: '1', B: 'x=y' } };
    expect(JSON.parse(stdout)).toMatchObject({ name: 'all of it', priority: 7, action });
    const args = ['submit', '-f', ...settings, ...sh('pwd; echo "$A $B"')];
    expect(await cli.run(...args)).toMatchObject({ code: 0, stdout: `${dir}/work\n1 x=y\n` });
  });

  test('--follow passes on what the run prints when it prints it, and ends with its exit code', async () => {
    const go = gate('follow');
    const going = cli.start(['submit', '--follow', ...sh(`echo one; echo two >&2; ${go.wait}; echo three; exit 7`)]);
    await eventually('its first lines', async () => going.stdout() === 'one\n' && going.stderr().includes('two\n'));
    go.open();
    const { code, stdout, stderr } = await going.ended;
    expect([code, stdout]).toEqual([7, 'one\nthree\n']);
    const id = idIn(stderr);
    expect(stderr).toBe(`Run ${id}\ntwo\nRun ${id} failed with exit code 7.\n`);
  });

  test('--follow --json: stdout is the run as it ended, the rest is on stderr', async () => {
    const { code, stdout, stderr } = await cli.run('submit', '-f', '--json', ...sh('echo one; kill -9 $$'));
    expect(code).toBe(128 + 9);
    expect(JSON.parse(stdout)).toMatchObject({ status: 'failed', signal: 'SIGKILL', exitCode: null });
    expect(stderr).toMatch(/\none\n/);
  });

  test('a quick one is told whole, in order, byte for byte', async () => {
    const line = `i=0; while [ $i -lt 500 ]; do echo "line $i ä🐘"; i=$((i+1)); done; printf '\\377\\376\\000end'`;
    const { bytes } = await cli.start(['submit', '-f', ...sh(line)]).ended;
    const text = Array.from({ length: 500 }, (_, i) => `line ${i} ä🐘\n`).join('');
    expect(bytes.equals(Buffer.concat([Buffer.from(text), Buffer.from([255, 254, 0]), Buffer.from('end')]))).toBe(true);
  });

  test('Ctrl-C leaves the run alone and says how to end it', async () => {
    const going = cli.start(['submit', '-f', ...sh('echo up; sleep 300')]);
    await eventually('its first line', async () => going.stdout() === 'up\n');
    going.child.kill('SIGINT');
    const { code, stderr } = await going.ended;
    const id = idIn(stderr);
    expect([code, stderr]).toEqual([130, expect.stringContaining(`runledger cancel ${id}`)]);
    expect((await read(id)).status).toBe('running');
    expect((await cli.run('cancel', id)).code).toBe(0);
    expect((await ended(id)).status).toBe('cancelled');
  });

  test('a lost line is waited for, and nothing is told twice', async () => {
    const line = await cuttable();
    const token = admin.header('authorization').replace('Bearer ', '');
    const far = cli.with({ RUNLEDGER_URL: line.url, RUNLEDGER_TOKEN: token });
    const go = gate('line');
    const meanwhile = gate('meanwhile');
    const going = far.start(['submit', '-f', ...sh(`echo 1; ${meanwhile.wait}; echo 2; ${go.wait}; echo 3`)]);
    await eventually('its first line', async () => going.stdout() === '1\n');
    await line.cut();
    await eventually('its notice', async () => going.stderr().includes('Lost the line'));
    meanwhile.open();
    await line.mend();
    await eventually('the second line', async () => going.stdout() === '1\n2\n');
    go.open();
    expect(await going.ended).toMatchObject({
      code: 0,
      stdout: '1\n2\n3\n',
      stderr: expect.stringContaining('Back at'),
    });
    await line.cut();
  });

  test('a session that ends meanwhile ends the watching, not the run', async () => {
    const form = new URLSearchParams({ username: 'admin', password: stack.adminPassword });
    const { body } = await admin.post<{ access_token: string }>('/api/v1/auth/token', form);
    const guest = cli.with({ RUNLEDGER_TOKEN: body.access_token });
    const going = guest.start(['submit', '-f', ...sh('echo up; sleep 300')]);
    await eventually('its first line', async () => going.stdout() === 'up\n');
    const { status } = await admin.with({ authorization: `Bearer ${body.access_token}` }).post('/api/auth/logout');
    expect(status).toBe(200);
    const { code, stderr } = await going.ended;
    expect([code, stderr]).toEqual([1, expect.stringContaining('does not take the token in RUNLEDGER_TOKEN')]);
    expect((await read(idIn(stderr))).status).toBe('running');
    expect((await cli.run('cancel', idIn(stderr))).code).toBe(0);
  });
});

/** A way to the stack that can be cut. */
async function cuttable() {
  const port = await freePort();
  const sockets = new Set<net.Socket>();
  const listen = () => {
    const server = net.createServer((near) => {
      const far = net.connect(Number(new URL(stack.url).port), '127.0.0.1');
      for (const socket of [near, far]) {
        sockets.add(socket);
        socket.on('error', () => undefined).on('close', () => [near, far].forEach((each) => each.destroy()));
      }
      near.pipe(far).pipe(near);
    });
    return new Promise<net.Server>((resolve) => server.listen(port, '127.0.0.1', () => resolve(server)));
  };
  let server = await listen();
  const cut = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      sockets.forEach((socket) => socket.destroy());
      sockets.clear();
    });
  return { url: `http://127.0.0.1:${port}`, cut, mend: async () => void (server = await listen()) };
}

describe('runs', () => {
  test('list: a table that lines up, newest first, without colours in a pipe', async () => {
    const id = await submitted('exit 3');
    await ended(id);
    const { stdout } = await cli.with({ FORCE_COLOR: '1' }).run('list', '--status', 'failed', '--limit', '1');
    const [titles, row] = stdout.split('\n');
    expect(titles).toMatch(/^ID +NAME +STATUS +REQUESTED +TOOK +EXIT$/);
    expect(row).toMatch(new RegExp(`^${id}  /bin/sh -c exit 3 +failed +(now|\\d+s ago) +[\\d.]+s +3$`));
    expect(row!.indexOf('failed')).toBe(titles!.indexOf('STATUS'));
    expect(stdout).not.toContain('\x1b');
    expect(await cli.json('list', '--limit', '1')).toEqual([await read(id)]);
  });

  test('list: as many as wanted, page after page', async () => {
    const all = Array.from({ length: 1_002 });
    for (let left = all; left.length > 0; left = left.slice(50)) {
      await Promise.all(left.slice(0, 50).map(() => admin.post('/api/v1/runs', { action: { kind: 'noop' } })));
    }
    const runs = await cli.json<Run[]>('list', '--limit', '1001');
    expect([runs.length, new Set(runs.map(({ id }) => id)).size]).toEqual([1_001, 1_001]);
  }, 60_000);

  test('show', async () => {
    const run = await ended(await submitted(`echo 'it is'; exit 4`));
    const { stdout } = await cli.run('show', run.id);
    expect(stdout).toMatch(/^Run +[0-9a-f-]{36}\n/);
    expect(stdout).toMatch(/^Status +failed/m);
    expect(stdout).toMatch(/^Exit code +4$/m);
    expect(stdout).toContain(`/bin/sh -c 'echo '\\''it is'\\''; exit 4'\n`);
    expect(await cli.json('show', run.id.toUpperCase())).toEqual(run);
  });

  test('logs: each stream on its own, a JSON list, or with the exit code', async () => {
    const { id } = await ended(await submitted('echo one; sleep 0.3; echo two >&2; exit 5'));
    expect(await cli.run('logs', id)).toEqual({ code: 0, stdout: 'one\n', stderr: 'two\n' });
    expect(await cli.json('logs', id)).toMatchObject([
      { attempt: 1, seq: 1, stream: 'stdout', text: 'one\n' },
      { attempt: 1, seq: 2, stream: 'stderr', text: 'two\n' },
    ]);
    const stderr = `two\nRun ${id} failed with exit code 5.\n`;
    expect(await cli.run('logs', '-f', id)).toEqual({ code: 5, stdout: 'one\n', stderr });
  });

  test('cancel: whoever follows ends with 1 and the reason', async () => {
    const id = await submitted('echo up; sleep 300');
    const going = cli.start(['logs', '-f', id]);
    await eventually('its first line', async () => going.stdout() === 'up\n');
    expect(await cli.run('cancel', id)).toMatchObject({ code: 0, stdout: '', stderr: expect.stringContaining(id) });
    expect(await going.ended).toMatchObject({ code: 1, stderr: expect.stringContaining('was cancelled') });
    const again = await cli.run('cancel', id, '--json');
    expect(again).toEqual({ code: 1, stdout: '', stderr: expect.stringMatching(/^runledger: .*over.*\n$/) });
  });
});

describe('processes', () => {
  test('list', async () => {
    const id = await define('Listed', { triggers: [{ cron: '0 3 * * *', zone: 'Europe/Vienna' }] });
    const { stdout } = await cli.run('process', 'list');
    expect(stdout).toMatch(
      new RegExp(`^${id}  Listed +command +at 03:00 every day \\(Europe/Vienna\\) +in \\d+[hms]$`, 'm'),
    );
    expect((await cli.json<Process[]>('process', 'list', '--limit', '1')).map(({ name }) => name)).toEqual(['Listed']);
  });

  test('why: what each due instant came to', async () => {
    const id = await define('Explained', { action: { kind: 'noop' }, triggers: [{ every: '1s' }] });
    const { stdout } = await eventually('an instant to be decided', async () => {
      const said = await cli.run('process', 'why', 'Explained');
      return /fired/.test(said.stdout) && said;
    });
    expect(stdout).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.000 {2}(fired|held) {2,4}Run \d+ /);
    const [first] = await cli.json<{ at: string; outcome: string }[]>('process', 'why', '--hours', '1', id);
    expect(first).toMatchObject({ at: expect.stringMatching(/\.000Z$/), outcome: 'fired' });
    await admin.call('DELETE', `/api/v1/processes/${id}`);
    const { stderr } = await cli.run('process', 'why', await define('Idle', {}));
    expect(stderr).toBe('Nothing was due in the last 24 hours.\n');
  });

  test('run: by name or id; every attempt is told', async () => {
    const action = { kind: 'command', shell: 'echo "attempt $RUNLEDGER_ATTEMPT"; exit 6' };
    const id = await define('Repeated', { action, policies: { retry: { attempts: 2 } } });
    const { code, stdout, stderr } = await cli.run('process', 'run', '--follow', 'Repeated');
    expect([code, stdout]).toEqual([6, 'attempt 1\nattempt 2\n']);
    expect((await cli.run('logs', '--attempt', '1', idIn(stderr))).stdout).toBe('attempt 1\n');
    const last = await cli.run('logs', '-f', '--json', idIn(stderr));
    expect([last.code, JSON.parse(last.stdout)]).toEqual([6, [expect.objectContaining({ text: 'attempt 2\n' })]]);
    const { process } = await cli.json<Run>('process', 'run', id);
    expect(process).toMatchObject({ id, name: 'Repeated' });
  });

  test('run: a name that several have is no answer', async () => {
    const ids = [await define('Twin'), await define('Twin')];
    const { code, stderr } = await cli.run('process', 'run', 'Twin');
    expect([code, stderr]).toEqual([1, expect.stringContaining('2 processes are called "Twin"')]);
    for (const id of ids) expect(stderr).toContain(id);
  });
});

test('verify: 0 while the ledger stands as it was written, 1 and the place when it does not', async () => {
  const { code, stdout } = await cli.run('verify');
  expect([code, stdout]).toEqual([
    0,
    expect.stringMatching(/^\d+ events stand as they were written\. Head: \d+ [0-9a-f]{64}\n$/),
  ]);
  expect(await cli.json('verify', '--from', '1', '--to', '1')).toMatchObject({ ok: true });
  const client = new pg.Client({ connectionString: stack.databaseUrl });
  await client.connect();
  await client.query(`alter table event disable trigger user; update event set schema = schema + 1 where position = 3`);
  await client.end();
  const broken = await cli.run('verify', '--json');
  expect(JSON.parse(broken.stdout)).toMatchObject({ ok: false, firstBad: { position: '3' } });
  expect([broken.code, broken.stderr]).toEqual([1, expect.stringContaining('changed at position 3')]);
});
