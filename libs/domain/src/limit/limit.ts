import { type Decider, type Meta } from '../decider.js';
import { type LimitEvent } from './limit.events.js';

export interface Limit {
  most: number;
}

export interface LimitCommand {
  type: 'ChangeLimit';
  meta: Meta;
  data: { most: number };
}

/** How many runs that weigh a user without a limit of his own may have going at once. There is one stream of it, `limit-default`. */
export const limit: Decider<Limit, LimitCommand, LimitEvent> = {
  category: 'limit',
  initial: { most: 100 },
  decide(state, { meta, data: { most } }) {
    return most === state.most ? [] : [{ type: 'LimitChanged', data: { most, by: meta.actor, at: meta.now } }];
  },
  evolve: (state, { type, data }) => (type === 'LimitChanged' ? { most: data.most } : state),
};
