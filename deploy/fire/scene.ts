/** What every scenario is given: where it is, what it may roll, how big it shall be, and where it says what it found. */
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { type Cleanup } from './cleanup.js';
import { type Dice } from './dice.js';
import { type Report } from './report.js';
import { type Store } from './store.js';

export type Topology = 'solo' | 'cluster';

export interface Scene {
  readonly name: string;
  readonly topology: Topology;
  /** Compiled files, as an installation has them. */
  readonly dist: string;
  readonly dir: string;
  readonly dice: Dice;
  /** A round for `npm test`: the same faults, fewer of them. */
  readonly short: boolean;
  readonly report: Report;
  readonly cleanup: Cleanup;
  readonly store: Store;
  /** A nats-server's binary; null where there is none. */
  readonly nats: string | null;
}

export interface Scenario {
  readonly name: string;
  /** Without a topology it works on the ledger alone and runs once. */
  readonly topologies: readonly Topology[] | 'none';
  run(scene: Scene): Promise<void>;
}

export const check = (scene: Scene, what: string, ok: boolean, detail = ''): boolean =>
  scene.report.check(scene.name, what, ok, detail);

export const figure = (scene: Scene, text: string): void => scene.report.figure(scene.name, text);

/** A folder of the scene's own. */
export function folder(scene: Scene, name: string): string {
  const dir = path.join(scene.dir, name);
  mkdirSync(dir, { recursive: true, mode: 0o711 });
  return dir;
}

/** Asks until the answer is true; false when `ms` went by in vain. */
export async function within(ms: number, ask: () => Promise<boolean> | boolean, pause = 50): Promise<boolean> {
  const until = performance.now() + ms;
  for (;;) {
    const answer = await Promise.resolve()
      .then(ask)
      .catch(() => false);
    if (answer) return true;
    if (performance.now() > until) return false;
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}
