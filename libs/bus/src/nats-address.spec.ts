import { expect, it } from '@jest/globals';
import { natsAddress } from './nats-address.js';

it('reads servers and credentials from a URL', () => {
  expect(natsAddress('nats://gate%40way:p%2Fw@h1:4223, nats://h2', 'gateway')).toMatchObject({
    servers: ['h1:4223', 'h2'],
    user: 'gate@way',
    pass: 'p/w',
    inboxPrefix: '_INBOX.gateway',
    maxReconnectAttempts: -1,
  });
  expect(natsAddress('127.0.0.1:4222', 'auth')).not.toHaveProperty('user');
  expect(natsAddress('nats://secret@[::1]:4222', 'auth')).toMatchObject({ servers: ['[::1]:4222'], token: 'secret' });
  expect(natsAddress('tls://h', 'auth').tls).toEqual({});
});
