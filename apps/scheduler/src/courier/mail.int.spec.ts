/** Mail over TLS, to a real SMTP server. */
import { type AddressInfo } from 'node:net';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { afterEach, expect, test } from '@jest/globals';
import { SMTPServer, type SMTPServerSession } from 'smtp-server';
import { Outbound } from '#service';
import { opening } from '../../../../libs/service/src/outbound.js';
import { Mail } from './mail.js';

/** Of localhost, valid until 2126; used nowhere else. */
const key = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg3BBW76djyeNPMd7V
dYMe5S9h4O0z368eDKYujNPYwQ+hRANCAASispcsWDkf4sDdP8W4XjnVefEZrTAo
UbLB/pj4EcluJnA/wjJsJWlVEth9LjgTkh/s/u7Zoz5oOKHTHTy2TmNx
-----END PRIVATE KEY-----
`;
const cert = `-----BEGIN CERTIFICATE-----
MIIBlTCCATugAwIBAgIUcnP7mKlqIVH61wnzCKrg0GtS3yYwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMjA1NDA0MVoYDzIxMjYxMDI5
MDU0MDQxWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAASispcsWDkf4sDdP8W4XjnVefEZrTAoUbLB/pj4EcluJnA/wjJsJWlV
Eth9LjgTkh/s/u7Zoz5oOKHTHTy2TmNxo2kwZzAdBgNVHQ4EFgQU7h/vq6VkaHx+
o+nHU/BrOBvOcbkwHwYDVR0jBBgwFoAU7h/vq6VkaHx+o+nHU/BrOBvOcbkwDwYD
VR0TAQH/BAUwAwEB/zAUBgNVHREEDTALgglsb2NhbGhvc3QwCgYIKoZIzj0EAwID
SAAwRQIhAJkWyOFWCiGFmrjy7PzGN5LBFdBeICQ17LKWEr/c3Ns7AiAsa8UvsNz/
IxDzllOyG0wDBwVvotTTtDEJBVm/xZKxDA==
-----END CERTIFICATE-----
`;

interface Received {
  secure: boolean;
  user: string | undefined;
  text: string;
}

const trusted = getCACertificates('default');
let server: SMTPServer | null = null;
afterEach(async () => {
  setDefaultCACertificates(trusted);
  await new Promise<void>((resolve) => (server ? server.close(resolve) : resolve()));
});

/** Takes letters of `ops` with his password only. */
async function serve(secure: boolean): Promise<{ port: number; received: Received[] }> {
  const received: Received[] = [];
  server = new SMTPServer({
    ...{ secure, key, cert, logger: false },
    onAuth({ username, password }, _session, done) {
      if (username === 'ops' && password === 'p@ss') done(null, { user: username });
      else done(new Error('who are you?'));
    },
    onData(stream, session: SMTPServerSession, done) {
      const parts: Buffer[] = [];
      stream.on('data', (part: Buffer) => parts.push(part));
      stream.on('end', () => {
        received.push({ secure: session.secure, user: session.user, text: Buffer.concat(parts).toString() });
        done();
      });
    },
  });
  server.on('error', () => undefined);
  const listening = server;
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
  return { port: (listening.server.address() as AddressInfo).port, received };
}

function send(url: string): Promise<string> {
  const mail = new Mail(new Outbound([opening.parse('localhost')]), url, {
    from: 'a@example.com',
    to: 'b@example.com',
  });
  const message = { title: 'Task Failed', text: 'nightly has failed', urgency: 'high' as const, tags: [] };
  return mail.send(message, new AbortController().signal);
}

test.each([
  ['smtps', true],
  ['smtp', false],
])('%s: encrypted, with a name and a password', async (scheme, secure) => {
  setDefaultCACertificates([...trusted, cert]);
  const { port, received } = await serve(secure);
  expect(await send(`${scheme}://ops:p%40ss@localhost:${port}`)).toMatch(/^250 /);
  expect(received).toEqual([
    { secure: true, user: 'ops', text: expect.stringContaining('nightly has failed') as unknown },
  ]);
});

test.each([
  ['smtps', true],
  ['smtp', false],
])('%s: whom nobody vouches for is told nothing', async (scheme, secure) => {
  const { port, received } = await serve(secure);
  await expect(send(`${scheme}://ops:p%40ss@localhost:${port}`)).rejects.toThrow(/self.signed certificate/);
  expect(received).toEqual([]);
});
