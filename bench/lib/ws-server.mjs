/** Raw ws, nothing else: `ws-server.mjs <watchers>`; runs a command when asked and broadcasts each chunk that it prints. */
import { spawn } from 'node:child_process';
import { WebSocketServer } from 'ws';
import { serve } from './child.mjs';

const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false });
await new Promise((resolve) => server.once('listening', resolve));
const mostBuffered = 1_048_576;

serve(
  {
    async run({ argv }) {
      const child = spawn(argv[0], argv.slice(1), { stdio: ['ignore', 'pipe', 'ignore'] });
      let seq = 0;
      child.stdout.setEncoding('utf8');
      for await (const text of child.stdout) {
        const piece = JSON.stringify({ run: 'run', attempt: 1, seq: ++seq, stream: 'stdout', text });
        const message = Buffer.from(piece);
        for (const client of server.clients) client.send(message, { binary: false });
        // It has back-pressure, as the product has.
        while ([...server.clients].some(({ bufferedAmount }) => bufferedAmount > mostBuffered))
          await new Promise(setImmediate);
      }
      return { pieces: seq };
    },
  },
  { port: server.address().port },
);
