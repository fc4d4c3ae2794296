/** Cancel and timeout of process trees of every shape: nothing is left, and the verdict is honest. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type RunShape } from '../api.js';
import { marked } from '../commands.js';
import { checkInvariants } from '../invariants.js';
import { Load } from '../load.js';
import { processesOf } from '../processes.js';
import { check, figure, within, type Scenario, type Scene } from '../scene.js';
import { Stack } from '../stack.js';

/** A process that starts the next one and goes, for ever: whoever looks for it finds it gone. */
const hare = `#!/bin/sh
[ -e "$1" ] || exit 0
sleep 0.05
sh "$0" "$1" &
`;

function shapes(scene: Scene): Record<string, string> {
  const script = path.join(scene.dir, 'hare.sh');
  const running = path.join(scene.dir, 'hare.runs');
  writeFileSync(script, hare);
  writeFileSync(running, '');
  return {
    background: 'sleep 301 & sleep 302 & wait',
    'double fork': '(sleep 303 & (sleep 304 &) &) ; sleep 305',
    setsid: 'setsid -f sleep 306; setsid -f sh -c "sleep 307; :"; sleep 308',
    nohup: 'nohup sleep 309 >/dev/null 2>&1 & sleep 310',
    'trap TERM': `trap "" TERM; sh -c 'trap "" TERM; while :; do sleep 1; done' & while :; do sleep 1; done`,
    'stopped child': 'sleep 311 & kill -STOP $!; wait',
    'env -i setsid': 'env -i setsid -f sh -c "sleep 312; :"; sleep 313',
    'fork loop': `sh '${script}' '${running}' & sh '${script}' '${running}' & sleep 314`,
  };
}

export const trees: Scenario = {
  name: 'trees',
  topologies: ['solo', 'cluster'],
  async run(scene) {
    const stack = await Stack.start(scene);
    const load = new Load(stack, () => ({}));
    const all = Object.entries(shapes(scene));
    const ends = ['cancel', 'timeout'] as const;
    const started = await Promise.all(
      ends.flatMap((end) =>
        all.map(async ([shape, shell]) => {
          const policies = end === 'timeout' ? { timeout: '5s' } : {};
          const order = await load.one((key) => marked(stack, key, shell, policies));
          return { id: order.run!, shape, end };
        }),
      ),
    );
    await sleep(2_500);
    const before = processesOf(stack).length;
    check(scene, 'all shapes stand', before >= 30, `${before} processes`);
    const cancelled = started.filter(({ end }) => end === 'cancel');
    await Promise.all(cancelled.map(({ id }) => stack.api.post(`/api/v1/runs/${id}/cancel`, {})));
    const view = () =>
      Promise.all(started.map(({ id }) => stack.api.get<RunShape>(`/api/v1/runs/${id}`).then(({ body }) => body)));
    await within(40_000, async () => (await view()).every(({ finishedAt }) => finishedAt !== null), 200);
    for (const [n, { status, reason }] of (await view()).entries()) {
      const { shape, end, id } = started[n]!;
      scene.report.fault(`${end} of a process tree`);
      const left = processesOf(stack).filter(({ run }) => run === id).length;
      const wanted = end === 'cancel' ? 'cancelled' : 'timed-out';
      check(scene, `${end} of ${shape}`, status === wanted && left === 0, `${status}, ${reason}, ${left} left`);
    }
    figure(scene, `${before} processes in 16 trees ended`);
    check(
      scene,
      'nothing of any tree is left',
      processesOf(stack).length === 0,
      processesOf(stack)
        .map(({ command }) => command)
        .join('; '),
    );
    await load.settle();
    await checkInvariants(stack, load.orders);
    check(scene, 'it stops by itself when asked', await stack.stop());
  },
};
