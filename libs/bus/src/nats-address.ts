import { type NodeConnectionOptions } from '@nats-io/transport-node';

/** `nats://user:password@host:4222,nats://host2:4222`, or `nats://token@host`, as options: the client reads no URL. */
export function natsAddress(url: string, service: string): NodeConnectionOptions {
  const urls = url
    .split(',')
    .map((each) => new URL(/^\w+:\/\//.test(each.trim()) ? each.trim() : `nats://${each.trim()}`));
  const [first] = urls;
  const user = decodeURIComponent(first?.username ?? '');
  const pass = decodeURIComponent(first?.password ?? '');
  return {
    servers: urls.map(({ host }) => host),
    ...(user && (pass ? { user, pass } : { token: user })),
    ...(first?.protocol === 'tls:' && { tls: {} }),
    name: service,
    inboxPrefix: `_INBOX.${service}`,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 200,
    reconnectJitter: 200,
    // A frozen server keeps its sockets open: four unanswered seconds, and it is left.
    pingInterval: 1000,
    maxPingOut: 3,
    timeout: 2000,
  };
}
