import { describe, expect, it } from '@jest/globals';
import { bell, command, natsUsers, query } from './index.js';
import { heardAt, rungAt } from './subject.js';

const request = command<null, null>('cmd.run.RequestRun', 'executor', ['gateway', 'scheduler']);
const list = query<null, null>('qry.runs.list', 'history', ['gateway']);
const happened = bell<null>('evt.ledger.Appended', ['executor', 'history'], ['gateway', 'history']);
const out = bell<string>('out.*', ['executor'], ['gateway']);

describe('natsUsers', () => {
  const users = natsUsers([request, list], [happened, out]);
  const of = (service: string) => users.find(({ user }) => user === service);

  it('lets callers and ringers publish, owners and listeners subscribe', () => {
    expect(of('gateway')).toEqual({
      user: 'gateway',
      publish: ['cmd.run.RequestRun', 'qry.runs.list'],
      subscribe: ['evt.ledger.Appended', 'out.*', '_INBOX.gateway.>'],
    });
    expect(of('executor')).toEqual({
      user: 'executor',
      publish: ['evt.ledger.Appended', 'out.*', '_INBOX.gateway.>', '_INBOX.scheduler.>'],
      subscribe: ['cmd.run.RequestRun', '_INBOX.executor.>'],
    });
  });

  it('gives a service without a part only its inbox', () => {
    expect(of('auth')).toEqual({ user: 'auth', publish: [], subscribe: ['_INBOX.auth.>'] });
  });

  it('speaks of the real table when told of no other', () => {
    const gateway = natsUsers().find(({ user }) => user === 'gateway');
    expect(gateway?.publish).toContain('cmd.run.RequestRun');
    expect(gateway?.subscribe).toContain('out.*');
  });

  it('prefixes everything but the inbox', () => {
    const scheduler = natsUsers([request], [], 't1').find(({ user }) => user === 'scheduler');
    expect(scheduler).toEqual({
      user: 'scheduler',
      publish: ['t1.cmd.run.RequestRun'],
      subscribe: ['_INBOX.scheduler.>'],
    });
  });
});

describe('a subject', () => {
  it('is frozen and plainly named', () => {
    expect(Object.isFrozen(request) && Object.isFrozen(request.callers) && Object.isFrozen(out)).toBe(true);
    expect(() => command('cmd.run.>', 'executor', [])).toThrow('no subject');
    expect(() => bell('evt.a b.C', [], [])).toThrow('no subject');
  });

  it('takes a suffix only where its name says so, and only a plain one', () => {
    expect(rungAt(out, 'run-1')).toBe('out.run-1');
    expect(heardAt(out)).toBe('out.*');
    expect(() => rungAt(out)).toThrow('with a suffix');
    expect(() => rungAt(happened, 'x')).toThrow('takes no suffix');
    for (const bad of ['', '*', '>', 'a.b', 'a b']) expect(() => heardAt(out, bad)).toThrow('one plain token');
  });
});
