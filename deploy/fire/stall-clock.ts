/** Says when the machine itself stood still: a thread that asks for nothing but the time notices how late it is. */
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { type Scene } from './scene.js';

export interface Stall {
  readonly from: number;
  readonly until: number;
}

export class StallClock {
  readonly stalls: Stall[] = [];

  static start(scene: Scene): StallClock {
    const clock = new StallClock();
    const worker = new Worker(path.join(scene.dist, 'deploy/fire/stall-clock.thread.js'));
    worker.on('message', (stall: Stall) => clock.stalls.push(stall));
    scene.cleanup.add(() => worker.terminate());
    return clock;
  }

  describe(): string {
    const all = this.stalls.reduce((sum, { from, until }) => sum + until - from, 0);
    return `the machine stood still ${this.stalls.length} times, ${all} ms in all`;
  }
}
