import { describe, expect, test } from '@jest/globals';
import { opening, Outbound, type Opening } from './outbound.js';

const open = (...texts: string[]): Opening[] => texts.map((text) => opening.parse(text));
const hostOf = (host: string) => new URL(`http://${host}/`).hostname;

describe('closed unless it is opened', () => {
  test.each([
    ...['127.0.0.1', '127.1', '127.255.255.254', '0x7f.1', '0177.0.0.1', '2130706433', '0', '0.0.0.0', '0x7f000001'],
    ...['10.0.0.1', '10.255.255.255', '172.16.0.1', '172.31.255.255', '192.168.1.1', '100.64.0.1', '100.100.100.200'],
    ...['169.254.169.254', '169.254.0.1', '224.0.0.1', '239.255.255.255', '240.0.0.1', '255.255.255.255'],
    ...['192.0.0.192', '192.0.2.1', '198.18.0.1', '198.51.100.1', '203.0.113.1', '168.63.129.16'],
    ...['１２７.0.0.1', '127。0。0。1', '127.0.0.1.'],
    ...['[::]', '[::1]', '[::127.0.0.1]', '[::ffff:127.0.0.1]', '[::ffff:7f00:1]', '[::ffff:a9fe:a9fe]'],
    ...['[::ffff:0:127.0.0.1]', '[64:ff9b::7f00:1]', '[64:ff9b::a9fe:a9fe]', '[64:ff9b:1::a00:1]', '[2002:7f00:1::]'],
    ...[
      '[fe80::1]',
      '[fec0::1]',
      '[fc00::1]',
      '[fd00:ec2::254]',
      '[ff02::1]',
      '[2001::1]',
      '[2001:db8::1]',
      '[100::1]',
    ],
  ])('%s', (host) => {
    expect(new Outbound([]).isClosed(hostOf(host), 80)).toBe(true);
  });
});

test.each(['1.1.1.1', '8.8.8.8', '172.32.0.1', '[2606:4700:4700::1111]', '[::ffff:1.1.1.1]'])('open: %s', (host) => {
  expect(new Outbound([]).isClosed(hostOf(host), 80)).toBe(false);
});

describe('what the operator opens', () => {
  test.each<[string[], string, number, boolean]>([
    [['127.0.0.1'], '127.1', 80, true],
    [['127.0.0.1'], '[::ffff:127.0.0.1]', 80, true],
    [['127.0.0.1'], '127.0.0.2', 80, false],
    [['127.0.0.1:8080'], '127.0.0.1', 8_080, true],
    [['127.0.0.1:8080'], '127.0.0.1', 80, false],
    [['10.0.0.0/8'], '10.1.2.3', 80, true],
    [['10.0.0.0/8'], '11.1.2.3', 80, true],
    [['10.0.0.0/8'], '192.168.0.1', 80, false],
    [['fd00::/8', '::1'], '[fd12::1]', 80, true],
    [['fd00::/8', '::1'], '[::1]', 80, true],
    [['[::1]:25'], '[::1]', 25, true],
    [['[::1]:25'], '[::1]', 80, false],
    [['[::1]:25'], '127.0.0.1', 25, false],
    [['ntfy.lan'], '127.0.0.1', 80, false],
  ])('%j: %s port %d', (texts, host, port, isOpen) => {
    expect(new Outbound(open(...texts)).isClosed(hostOf(host), port)).toBe(!isOpen);
  });

  test.each([
    '',
    'a b',
    '10.0.0.0/33',
    'host:0',
    'host:65536',
    'host:x',
    '[fe80',
    '[nothing]:80',
    'http://host',
    'a,b',
  ])('not understood: %j', (text) => expect(opening.safeParse(text).success).toBe(false));
});
