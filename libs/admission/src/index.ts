export {
  admit,
  birth,
  isAtOnce,
  secretRows,
  weightOf,
  workOf,
  type Birth,
  type Born,
  type Queueing,
  type Work,
} from './admit.js';
export { lose, report } from './report.js';
export { Rescuer } from './rescue.js';
