/** Many sockets in a process of their own: `watchers.mjs <socket.io | ws> <url> <count> [token]`. Counts the bytes of text that each got. */
import { io } from 'socket.io-client';
import { WebSocket } from 'ws';
import { serve } from './child.mjs';

const [kind, url, count, token] = process.argv.slice(2);
let got = [];
let wanted = Infinity;
let pieces = 0;
let missing = 0;
let finished = () => undefined;

function take(n, text) {
  pieces++;
  const before = got[n];
  // The text is ASCII, so characters are bytes.
  got[n] = before + text.length;
  if (before < wanted && got[n] >= wanted && --missing === 0) finished(performance.now());
}

const openSocketIo = (n) =>
  new Promise((resolve, reject) => {
    const socket = io(url, { transports: ['websocket'], auth: { token }, forceNew: true, reconnection: false });
    socket.on('output', ({ text }) => take(n, text));
    socket.once('connect', () => resolve(socket));
    socket.once('connect_error', reject);
  });

const openWs = (n) =>
  new Promise((resolve, reject) => {
    const socket = new WebSocket(url, { perMessageDeflate: false });
    socket.on('message', (data) => take(n, JSON.parse(data).text));
    socket.once('open', () => resolve(socket));
    socket.once('error', reject);
  });

const sockets = [];
for (let n = 0; n < Number(count); n += 20) {
  const some = Array.from({ length: Math.min(20, Number(count) - n) }, (_, i) =>
    (kind === 'ws' ? openWs : openSocketIo)(n + i),
  );
  sockets.push(...(await Promise.all(some)));
}

serve({
  /** `bytes` are expected by each; a product's run is subscribed to. */
  async expect({ bytes, room }) {
    got = sockets.map(() => 0);
    wanted = bytes;
    missing = sockets.length;
    pieces = 0;
    const answers = room
      ? await Promise.all(sockets.map((socket) => socket.timeout(30_000).emitWithAck('subscribe', { room })))
      : [];
    const bad = answers.find(({ ok }) => !ok);
    if (bad) throw new Error(`not subscribed: ${JSON.stringify(bad)}`);
    return {};
  },
  async finished({ within }) {
    if (missing > 0)
      await Promise.race([
        new Promise((resolve) => (finished = resolve)),
        new Promise((resolve) => setTimeout(resolve, within)),
      ]);
    return { missing, pieces, most: Math.max(...got), least: Math.min(...got), cpu: process.cpuUsage() };
  },
  async leave({ room }) {
    await Promise.all(
      sockets.map((socket) =>
        socket
          .timeout(30_000)
          .emitWithAck('unsubscribe', { room })
          .catch(() => undefined),
      ),
    );
    return {};
  },
});
