/** A full disk under the spool and under PostgreSQL: clear reasons, nothing acknowledged is lost, and it heals by itself. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type RunShape } from '../api.js';
import { marked, noop } from '../commands.js';
import { checkInvariants } from '../invariants.js';
import { Load } from '../load.js';
import { check, figure, folder, within, type Scenario, type Scene } from '../scene.js';
import { Stack } from '../stack.js';
import { Store } from '../store.js';

export const disk: Scenario = {
  name: 'disk',
  topologies: ['solo', 'cluster'],
  async run(scene) {
    const why = process.getuid?.() === 0 ? tryMount(scene) : 'a tmpfs can only be mounted by root';
    if (why) return scene.report.skip(scene.name, why);
    const small = folder(scene, 'small');
    mount(scene, small, '400m');
    const store = await Store.start(small, scene.cleanup, {
      max_wal_size: '64MB',
      min_wal_size: '32MB',
      max_connections: '100',
      shared_buffers: '32MB',
    });
    const data = folder(scene, 'data');
    const spool = path.join(data, 'executor-1', 'spool');
    mkdirSync(spool, { recursive: true, mode: 0o700 });
    mount(scene, spool, '2m');
    const stack = await Stack.start(scene, { store });
    const load = new Load(stack, noop);
    await underSpool(stack, load);
    await underPostgres(stack, load, small);
    check(scene, 'every order was acknowledged in the end', await load.settle(60_000), `${load.orders.length} orders`);
    await checkInvariants(stack, load.orders);
    check(scene, 'it stops by itself when asked', await stack.stop());
  },
};

function tryMount(scene: Scene): string | null {
  const probe = folder(scene, 'probe');
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'runledger-fire', probe], { stdio: 'pipe' });
    execFileSync('umount', [probe], { stdio: 'pipe' });
    return null;
  } catch (error) {
    return `no tmpfs can be mounted here: ${(error as Error).message.split('\n').at(-2) ?? ''}`;
  }
}

/** Lazily unmounted, whoever still has a file open there. */
function mount(scene: Scene, dir: string, size: string): void {
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=711`, 'runledger-fire', dir], { stdio: 'pipe' });
  scene.cleanup.add(() => execFileSync('umount', ['-l', dir], { stdio: 'pipe' }));
}

async function ran({ api }: Stack, id: string): Promise<RunShape> {
  const get = () => api.get<RunShape>(`/api/v1/runs/${id}`).then(({ body }) => body);
  await within(30_000, async () => (await get()).finishedAt !== null);
  return get();
}

async function underSpool(stack: Stack, load: Load): Promise<void> {
  const { scene } = stack;
  const flood = await load.one((key) => marked(stack, key, 'yes | head -c 60000000; sleep 1'));
  const neighbour = await load.one((key) => marked(stack, key, 'echo hello'));
  scene.report.fault('disk full under the spool');
  const { status, reason } = await ran(stack, flood.run!);
  check(
    scene,
    'a full spool ends its run with a clear reason',
    status === 'failed' && /output could not be kept|space/i.test(reason ?? ''),
    `${status}: ${reason}`,
  );
  const beside = await ran(stack, neighbour.run!);
  check(scene, 'its neighbour is well', beside.status === 'succeeded', `${beside.status} ${beside.reason}`);
  const after = await load.one((key) => marked(stack, key, 'yes | head -c 1000000'));
  const next = await ran(stack, after.run!);
  check(
    scene,
    'the next run has room again',
    next.status === 'succeeded' && next.output?.bytes === 1_000_000,
    `${next.status} ${next.reason}`,
  );
}

/** Ballast takes every block that is left; what is then refused says so, and all goes on when it is gone. */
async function underPostgres(stack: Stack, load: Load, dir: string): Promise<void> {
  const { scene, api, store } = stack;
  const stopKeeping = keepRunning(store);
  load.trickle(30);
  await sleep(1_500);
  const ballast = path.join(dir, 'ballast');
  mkdirSync(ballast);
  const filling = setInterval(() => fill(ballast), 50);
  fill(ballast);
  scene.report.fault('disk full under PostgreSQL');
  const answers = new Map<string, number>();
  const until = performance.now() + 8_000;
  while (performance.now() < until) {
    const filler = {
      name: 'while the disk is full',
      action: { kind: 'noop' },
      parameters: { text: 'x'.repeat(100_000) },
    };
    const told = await api.post<{ title?: string; detail?: string; code?: string }>('/api/v1/runs', filler).then(
      ({ status, body }) => `${status} ${body.code ?? ''} ${status < 300 ? '' : (body.detail ?? body.title ?? '')}`,
      (error: Error) => `none: ${error.message}`,
    );
    answers.set(told, (answers.get(told) ?? 0) + 1);
    await sleep(50);
  }
  clearInterval(filling);
  figure(
    scene,
    `answers while the disk was full: ${[...answers].map(([told, times]) => `${times} x ${told}`).join(', ')}`,
  );
  const refused = [...answers.keys()].filter((told) => !told.startsWith('202'));
  check(scene, 'a full disk is met', refused.length > 0);
  check(
    scene,
    'and answered with 503',
    refused.every((told) => told.startsWith('503')),
    refused.join(', '),
  );
  rmSync(ballast, { recursive: true });
  const began = performance.now();
  const well = await within(60_000, async () => (await api.post('/api/v1/runs', noop('room again'))).status === 202);
  check(
    scene,
    'it goes on without anybody doing anything',
    well,
    `${((performance.now() - began) / 1_000).toFixed(1)} s after there was room`,
  );
  await stopKeeping();
}

let files = 0;

function fill(dir: string): void {
  for (let size = 16_777_216; size >= 4_096; size /= 2) {
    while (statfsSync(dir).bavail * statfsSync(dir).bsize >= size) {
      try {
        writeFileSync(path.join(dir, String(files++)), Buffer.alloc(size));
      } catch {
        break;
      }
    }
  }
}

/** As the local supervisor does: a PostgreSQL that gave up starts again until it can. */
function keepRunning(store: Store): () => Promise<void> {
  let stopped = false;
  const loop = (async () => {
    while (!stopped) {
      if (!store.runs) await store.restart().catch(() => undefined);
      await sleep(500);
    }
  })();
  return () => {
    stopped = true;
    return loop;
  };
}
