import { describe, expect, test } from '@jest/globals';
import { Lookups } from './lookups.js';

const soon = () => AbortSignal.timeout(10_000);
const waits = (signal: AbortSignal) =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));

/** Names of `hung` are never answered until they are let go. */
function world() {
  const asked: string[] = [];
  const hung = new Set<string>();
  const held: (() => void)[] = [];
  const lookups = new Lookups(async (name) => {
    asked.push(name);
    if (hung.has(name)) await new Promise<void>((resolve) => held.push(resolve));
    return [`address of ${name}`];
  });
  return { asked, hung, lookups, letGo: () => held.splice(0).forEach((resolve) => resolve()) };
}

describe('lookups', () => {
  test('a server of names that hangs holds up nobody whose name was found promptly', async () => {
    const { hung, lookups, letGo } = world();
    await lookups.find('good', soon());
    hung.add('bad-1').add('bad-2');
    const bad = [lookups.find('bad-1', soon()), lookups.find('bad-2', soon())];
    expect(await lookups.find('good', soon())).toEqual(['address of good']);
    letGo();
    await bad[0];
    await new Promise((resolve) => setTimeout(resolve, 10));
    letGo();
    expect(await bad[1]).toEqual(['address of bad-2']);
  });

  test('who asks for a name that is being looked up has its answer, whatever hangs', async () => {
    const { asked, hung, lookups, letGo } = world();
    await lookups.find('good', soon());
    hung.add('bad');
    const bad = lookups.find('bad', soon());
    const [one, other] = [lookups.find('good', soon()), lookups.find('good', soon())];
    expect(await Promise.all([one, other])).toEqual([['address of good'], ['address of good']]);
    expect(asked).toEqual(['good', 'bad', 'good']);
    letGo();
    await bad;
  });

  test('whose asker has gone while he waited for his turn is not looked up any more', async () => {
    const { asked, hung, lookups, letGo } = world();
    hung.add('bad');
    const bad = lookups.find('bad', soon());
    const gone = new AbortController();
    const late = lookups.find('late', gone.signal);
    gone.abort(new Error('nobody waits'));
    await new Promise((resolve) => setTimeout(resolve, 10));
    letGo();
    await bad;
    await expect(late).rejects.toThrow('nobody waits');
    expect(asked).toEqual(['bad']);
    expect(await lookups.find('next', soon())).toEqual(['address of next']);
  });

  test('a name that hangs though it was known makes way for the others by the next time', async () => {
    const { hung, lookups, letGo } = world();
    await lookups.find('good', soon());
    await lookups.find('turning', soon());
    hung.add('turning');
    const turning = lookups.find('turning', soon());
    await new Promise((resolve) => setTimeout(resolve, 1_050));
    letGo();
    await turning;
    const again = lookups.find('turning', soon());
    expect(await Promise.race([lookups.find('good', soon()), waits(AbortSignal.timeout(2_000))])).toEqual([
      'address of good',
    ]);
    letGo();
    await again;
  });
});
