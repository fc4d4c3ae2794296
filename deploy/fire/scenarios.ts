/** Every scenario, in the order in which they run. */
import { type Scenario } from './scene.js';
import { bus } from './scenarios/bus.js';
import { caps } from './scenarios/caps.js';
import { crash } from './scenarios/crash.js';
import { disk } from './scenarios/disk.js';
import { ledger } from './scenarios/ledger.js';
import { output } from './scenarios/output.js';
import { rebuild } from './scenarios/rebuild.js';
import { runs } from './scenarios/runs.js';
import { schedules } from './scenarios/schedules.js';
import { tamper } from './scenarios/tamper.js';
import { trees } from './scenarios/trees.js';

export const scenarios: readonly Scenario[] = [
  ledger,
  crash,
  tamper,
  rebuild,
  runs,
  schedules,
  caps,
  trees,
  output,
  bus,
  disk,
];
