import { hostname } from 'node:os';
import { z } from 'zod';
import { adminOf, eventually, startStack, type Client, type Stack } from '#testing';
import { viewerRun } from './viewer.shapes.js';

type Run = z.infer<typeof viewerRun>;

interface Defined {
  id: string;
  number: number;
}

interface NativeRun {
  id: string;
  number: number;
  status: string;
}

const date = expect.stringMatching(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/) as string;
let stack: Stack;
let admin: Client;

/** One slot: of two commands the second one waits. */
beforeAll(async () => {
  stack = await startStack(globalThis.topology, { RUNLEDGER_EXECUTOR_SLOTS: '1' });
  admin = await adminOf(stack);
}, 90_000);
afterAll(() => stack.stop(), 60_000);

async function define(name: string, action: object = { kind: 'noop' }, more: object = {}): Promise<Defined> {
  const { status, body, text } = await admin.post<Defined>('/api/v1/processes', { name, action, ...more });
  if (status !== 201) throw new Error(`${status} ${text}`);
  return body;
}

const shell = (line: string) => ({ kind: 'command', shell: line });

async function request({ id }: Defined): Promise<NativeRun> {
  const { status, body, text } = await admin.post<NativeRun>(`/api/v1/processes/${id}/run`);
  if (status !== 202) throw new Error(`${status} ${text}`);
  return body;
}

async function until(run: NativeRun, ...statuses: string[]): Promise<NativeRun> {
  return eventually(`run ${run.number} to be ${statuses.join(' or ')}`, async () => {
    const { body } = await admin.get<NativeRun>(`/api/v1/runs/${run.id}`);
    return statuses.includes(body.status) && body;
  });
}

async function runs({ number }: Defined, query = ''): Promise<Run[]> {
  const { status, body, text } = await admin.get<Run[]>(`/api/processes/${number}/runs${query}`);
  if (status !== 200) throw new Error(`${status} ${text}`);
  return body;
}

/** Runs it once and answers how the document tells it. */
async function told(process: Defined, status: string): Promise<Run> {
  await until(await request(process), status);
  return (await runs(process))[0]!;
}

describe('3. Fetch Execution History', () => {
  test('GET /api/processes/{id}/runs answers every field of the example', async () => {
    const line = `echo before; echo '##runledger {"ops":81}'; echo after`;
    const process = await define('Account Workflow Evaluation', shell(line), { description: 'Evaluates accounts' });
    const requested = await request(process);
    await until(requested, 'succeeded');
    const { status, body, headers } = await admin.get<Run[]>(`/api/processes/${process.number}/runs`);
    expect(status).toBe(200);
    expect(headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(body).toEqual([
      {
        id: requested.number,
        process_id: process.number,
        start_requested: date,
        started: date,
        completed: date,
        scheduled: 0,
        server: hostname(),
        description: 'Evaluates accounts',
        ops: 81,
        failed: 0,
        failure_reason: null,
      },
    ]);
    const [{ start_requested, started, completed }] = body as [Run];
    expect(start_requested! <= started! && started! <= completed!).toBe(true);
    expect(Math.abs(Date.parse(`${started!.replace(' ', 'T')}Z`) - Date.now())).toBeLessThan(60_000);
  });

  test('scheduled is 1 for a run that a schedule fired, 0 for one by hand', async () => {
    const process = await define('every second', undefined, { triggers: [{ cron: '* * * * * *' }] });
    const fired = await eventually('a fired run', async () => (await runs(process)).find(({ completed }) => completed));
    expect(fired).toMatchObject({ scheduled: 1, failed: 0, ops: 0, description: '', completed: date });
    await admin.post(`/api/v1/processes/${process.id}/disable`);
    const byHand = await until(await request(process), 'succeeded');
    const found = (await runs(process)).find(({ id }) => id === byHand.number);
    expect(found?.scheduled).toBe(0);
  });

  test('failed is 1 and failure_reason says why: failed', async () => {
    const run = await told(await define('fails', shell('echo to no avail >&2; exit 7')), 'failed');
    expect(run).toMatchObject({ failed: 1, ops: 0, completed: date });
    expect(run.failure_reason).toMatch(/\b7\b/);
  });

  test('failed is 1 and failure_reason says why: a command and a working directory that do not exist', async () => {
    const command = await define('no command', { kind: 'command', command: ['/no/such/program-at-all'] });
    expect((await told(command, 'failed')).failure_reason).toMatch(/program-at-all/);
    const cwd = await define('no directory', { ...shell('true'), cwd: '/no/such/directory-at-all' });
    expect((await told(cwd, 'failed')).failure_reason).toMatch(/directory-at-all/);
  });

  test('failed is 1 and failure_reason says why: timed out', async () => {
    const process = await define('times out', shell('sleep 30'), { policies: { timeout: '300ms' } });
    const run = await told(process, 'timed-out');
    expect(run).toMatchObject({ failed: 1, completed: date });
    expect(run.failure_reason).toMatch(/time/i);
  });

  test('failed is 1 and failure_reason says why: cancelled; a running one has no end yet and has not failed', async () => {
    const process = await define('is cancelled', shell('sleep 30'));
    const requested = await request(process);
    await until(requested, 'running');
    const running = { id: requested.number, started: date, completed: null, failed: 0, failure_reason: null };
    expect(await runs(process)).toEqual([expect.objectContaining(running)]);
    await admin.post(`/api/v1/runs/${requested.id}/cancel`, { reason: 'wrong day' });
    await until(requested, 'cancelled');
    const [run] = await runs(process);
    expect(run).toMatchObject({ failed: 1, completed: date });
    expect(run!.failure_reason).toMatch(/wrong day|cancel/i);
  });

  test('a run is listed only once it has started', async () => {
    const blocking = await define('takes the only slot', shell('sleep 30'));
    const blocker = await request(blocking);
    await until(blocker, 'running');
    const process = await define('waits for a slot', shell('true'));
    const [waiting, dropped] = [await request(process), await request(process)];
    await until(waiting, 'queued');
    expect(await runs(process)).toEqual([]);
    const listed = await admin.get<{ last_run_status: string; last_run_at: null }[]>('/api/processes?q=waits%20for');
    expect(listed.body).toMatchObject([{ last_run_status: 'Not available', last_run_at: null }]);
    await admin.post(`/api/v1/runs/${dropped.id}/cancel`);
    await admin.post(`/api/v1/runs/${blocker.id}/cancel`);
    await until(waiting, 'succeeded');
    await until(dropped, 'cancelled');
    expect((await runs(process)).map(({ id }) => id)).toEqual([waiting.number]);
  });

  test("a retried run is listed once, with its newest attempt's times and verdict", async () => {
    const mark = `${stack.dataDir}/second-attempt`;
    const line = `test -e ${mark} && exit 0; touch ${mark}; exit 1`;
    const process = await define('second attempt', shell(line), { policies: { retry: { attempts: 2 } } });
    expect(await told(process, 'succeeded')).toMatchObject({ failed: 0, failure_reason: null, completed: date });
    expect(await runs(process)).toHaveLength(1);
  });

  test('the runs of a retired process stay readable', async () => {
    const process = await define('retired with runs');
    const run = await told(process, 'succeeded');
    expect((await admin.call('DELETE', `/api/v1/processes/${process.id}`)).status).toBe(204);
    expect((await admin.get('/api/processes?q=retired%20with%20runs')).body).toEqual([]);
    expect(await runs(process)).toEqual([run]);
  });

  test('another process has its own runs only; one that never ran has none', async () => {
    const [mine, other] = [await define('one of two'), await define('two of two')];
    await told(mine, 'succeeded');
    expect(await runs(other)).toEqual([]);
    expect((await runs(mine)).map(({ process_id }) => process_id)).toEqual([mine.number]);
  });

  test('an unknown id is 404 {"error":"Process not found"}, one that is no number too', async () => {
    const ids = ['999999', '999999999', '99999999999999999999', '0', '-1', '1.5', '1e3', 'nine', '%20', '१'];
    for (const id of ids) {
      const { status, body } = await admin.get(`/api/processes/${id}/runs`);
      expect([id, status, body]).toEqual([id, 404, { error: 'Process not found' }]);
    }
  });
});

describe('3. Fetch Execution History: the full run history', () => {
  const total = 2_000;
  let process: Defined;
  let numbers: number[];

  beforeAll(async () => {
    process = await define('two thousand');
    numbers = [];
    for (let i = 0; i < total; i += 50) {
      const requested = await Promise.all(Array.from({ length: 50 }, () => request(process)));
      numbers.push(...requested.map(({ number }) => number));
    }
  });

  const listed = () =>
    eventually('all runs to have ended', async () => {
      const found = await runs(process);
      return found.length === total && found.every(({ completed }) => completed) && found;
    });

  test('2,000 runs come whole and streamed, sorted by start time descending', async () => {
    const found = await listed();
    const ascending = (a: number, b: number) => a - b;
    expect(found.map(({ id }) => id).sort(ascending)).toEqual([...numbers].sort(ascending));
    const started = found.map((run) => run.started!);
    expect(started).toEqual([...started].sort().reverse());
    expect(z.array(z.strictObject(viewerRun.shape)).safeParse(found).error).toBeUndefined();
    const { headers } = await admin.get(`/api/processes/${process.number}/runs`);
    expect([headers.get('content-length'), headers.get('transfer-encoding')]).toEqual([null, 'chunked']);
  });

  test('limit and before cut it when given; walking with them gives the whole list', async () => {
    const whole = (await listed()).map(({ id }) => id);
    expect((await runs(process, '?limit=3')).map(({ id }) => id)).toEqual(whole.slice(0, 3));
    expect((await runs(process, '?limit=201')).map(({ id }) => id)).toEqual(whole.slice(0, 201));
    expect((await runs(process, `?before=${whole[1_995]}`)).map(({ id }) => id)).toEqual(whole.slice(1_996));
    expect(await runs(process, `?before=${whole.at(-1)}`)).toEqual([]);
    const walked: number[] = [];
    for (let last: number | undefined; walked.length < total;) {
      const page = await runs(process, `?limit=400${last === undefined ? '' : `&before=${last}`}`);
      expect(page).toHaveLength(400);
      walked.push(...page.map(({ id }) => id));
      last = walked.at(-1);
    }
    expect(walked).toEqual(whole);
  });

  test('a limit or before that is no number is 400; a before that names no run cuts nothing', async () => {
    const faulty = ['?limit=0', '?limit=-1', '?limit=x', '?limit=1.5', '?before=x', '?before=0', '?limit=1&limit=2'];
    for (const query of faulty) {
      const { status, body } = await admin.get(`/api/processes/${process.number}/runs${query}`);
      expect([query, status, body]).toEqual([query, 400, { error: expect.stringMatching(/limit|before/) as string }]);
    }
    for (const before of ['999999999', '99999999999', '9007199254740991']) {
      expect(await runs(process, `?limit=2&before=${before}`)).toHaveLength(2);
    }
  });
});
