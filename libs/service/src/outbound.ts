import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { z } from 'zod';
import { Lookups } from './lookups.js';

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** What is open although it is not public: a name or a range, at one port or at each. */
export interface Opening {
  host: string | null;
  range: [Address, number] | null;
  port: number | null;
}

/** Says no more than that: what is behind a name is nobody's business who may not go there. */
export class OutboundRefused extends Error {
  constructor() {
    super('requests to this address are not allowed');
  }
}

const everywhere = { ipv4: ipaddr.parseCIDR('0.0.0.0/0'), ipv6: ipaddr.parseCIDR('2000::/3') };
/** A cloud's metadata service on what looks like a public address. */
const metadata = ipaddr.parse('168.63.129.16').toString();

const lookups = new Lookups(async (name) => {
  const found = await lookup(name, { all: true, order: 'ipv4first' });
  return found.map(({ address }) => address);
});

/**
 * Where requests may go whose target somebody has named: public addresses, and what the operator opens. It judges the
 * addresses that a name stands for; whoever connects uses the one that is answered, and looks up nothing again.
 */
export class Outbound {
  constructor(private readonly openings: readonly Opening[]) {}

  /** The address to connect to. A name that stands for any closed address is refused as a whole. */
  async addressOf(host: string, port: number, signal: AbortSignal): Promise<string> {
    const name = plain(host);
    const found = isIP(name) ? [name] : await lookups.find(name, signal);
    if (!found.every((address) => this.isOpen(name, address, port))) throw new OutboundRefused();
    return found[0]!;
  }

  /** Known without a lookup; what a name stands for is judged when it is used. */
  isClosed(host: string, port: number): boolean {
    const name = plain(host);
    return isIP(name) !== 0 && !this.isOpen(name, name, port);
  }

  private isOpen(name: string, text: string, port: number): boolean {
    const address = ipaddr.process(text);
    const opened = this.openings.some(
      (opening) =>
        (opening.port === null || opening.port === port) &&
        (opening.host === name || (opening.range !== null && lies(address, opening.range))),
    );
    return opened || isPublic(address);
  }
}

/** Of IPv6 only what is given out as global unicast; forms that carry an IPv4 address inside are none of it. */
const isPublic = (address: Address): boolean =>
  address.range() === 'unicast' && lies(address, everywhere[address.kind()]) && address.toString() !== metadata;

const lies = (address: Address, range: [Address, number]): boolean =>
  ipaddr.subnetMatch(address, { in: [range] }, 'out') === 'in';

const plain = (host: string): string =>
  host
    .toLowerCase()
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '');

/** `host`, `host:port` or CIDR; an IPv6 address with a port stands in brackets. */
export const opening = z.string().transform((text, context): Opening => {
  const parsed = parseOpening(text.trim());
  if (parsed) return parsed;
  context.addIssue({ code: 'custom', message: 'each must be host, host:port or CIDR' });
  return z.NEVER;
});

function parseOpening(text: string): Opening | null {
  if (ipaddr.isValidCIDR(text)) return { host: null, range: ipaddr.parseCIDR(text), port: null };
  if (isIP(text)) return { host: null, range: alone(text), port: null };
  const [, host, port] = /^(\[[\da-f:.]+\]|[\w.-]+)(?::(\d{1,5}))?$/i.exec(text) ?? [];
  if (host === undefined || (port !== undefined && (Number(port) < 1 || Number(port) > 65_535))) return null;
  const name = plain(host);
  if (host.startsWith('[') && !isIP(name)) return null;
  const range = isIP(name) ? alone(name) : null;
  return { host: range ? null : name, range, port: port === undefined ? null : Number(port) };
}

function alone(text: string): [Address, number] {
  const address = ipaddr.process(text);
  return [address, address.kind() === 'ipv4' ? 32 : 128];
}
