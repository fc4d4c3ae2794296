import { expect, test } from '@jest/globals';
import { given, type Decider } from './spec.js';

class Refused extends Error {
  readonly kind = 'conflict';
  readonly code = 'FULL';
}

const counter: Decider<number, 'Add' | 'Break', 'Added'> = {
  category: 'counter',
  initial: 0,
  decide: (count, command) => {
    if (command === 'Break') throw new TypeError('a bug');
    if (count > 1) throw new Refused();
    return ['Added'];
  },
  evolve: (count) => count + 1,
};

test('new events are compared, refusals by kind and code, and a bug fails as itself', () => {
  given(counter, []).when('Add').then(['Added']);
  given(counter, ['Added', 'Added']).when('Add').thenRefused('conflict', 'FULL');
  expect(() => given(counter, []).when('Add').then([])).toThrow('toEqual');
  expect(() => given(counter, []).when('Add').thenRefused('conflict', 'FULL')).toThrow('toEqual');
  expect(() => given(counter, []).when('Break').thenRefused('conflict', 'FULL')).toThrow('a bug');
});
