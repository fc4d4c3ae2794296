/** 500 watchers of one chatty run over socket.io, beside raw ws broadcasting what the same command prints. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { helper } from './child.mjs';
import { startProduct } from './product.mjs';
import { alternate, ratios } from './rounds.mjs';
import { judged } from './stats.mjs';

const watchers = 500;
const within = 30_000;
const lib = (name) => path.join(import.meta.dirname, name);

/** Waits for the file that says that all are watching, then prints lines of 1 KiB as fast as they are taken. */
const chatty = (gate, lines) => [
  '/bin/sh',
  '-c',
  `while [ ! -e ${gate} ]; do sleep 0.02; done; exec awk -v n=${lines} 'BEGIN { s = sprintf("%1015s", ""); gsub(/ /, "x", s); for (i = 1; i <= n; i++) printf "%07d %s\\n", i, s }'`,
];

/** @param {import('./stage.mjs').Stage} stage */
export async function socketScenario(stage, topology) {
  const lines = stage.quick ? 512 : 4_096;
  const bytes = lines * 1_024;
  const product = await startProduct(stage, topology, { client: { connections: 2 } });
  let server, raw, live;
  try {
    server = await helper(lib('ws-server.mjs'), []);
    raw = await helper(lib('watchers.mjs'), ['ws', `ws://127.0.0.1:${server.hello.port}`, String(watchers)]);
    live = await helper(lib('watchers.mjs'), ['socket.io', product.url, String(watchers), product.api.token]);
    let turn = 0;
    const gate = () => path.join(stage.dir, `gate-${topology}-${++turn}`);
    const judge = ({ missing, most, least, pieces }, seconds) => {
      if (most > bytes) throw new Error(`a watcher got ${most} bytes of ${bytes}`);
      // Who does not bring it to everybody has not done it at any rate.
      if (missing > 0) return { rate: 0, pieces: pieces / watchers, missing, least };
      return { rate: (bytes * watchers) / seconds / 1e6, pieces: pieces / watchers };
    };
    const ours = async () => {
      const file = gate();
      const { id } = await product.api.json('POST', '/api/v1/runs', {
        action: { kind: 'command', command: chatty(file, lines) },
      });
      const room = `run:${id}`;
      await live.ask('expect', { bytes, room });
      const began = performance.now();
      writeFileSync(file, '');
      const done = await live.ask('finished', { within });
      const result = judge(done, (performance.now() - began) / 1_000);
      await live.ask('leave', { room }).catch(() => undefined);
      return result;
    };
    const theirs = async () => {
      const file = gate();
      writeFileSync(file, '');
      await raw.ask('expect', { bytes });
      const began = performance.now();
      const [done] = await Promise.all([
        raw.ask('finished', { within }),
        server.ask('run', { argv: chatty(file, lines) }),
      ]);
      return judge(done, (performance.now() - began) / 1_000);
    };
    await ours();
    await theirs();
    const results = await alternate(stage, { runledger: ours, ws: theirs }, ({ rate, pieces, missing }) =>
      missing
        ? `${missing} watchers did not get it all in ${within / 1_000} s`
        : `${Math.round(rate)} MB/s in ${Math.round(pieces)} pieces`,
    );
    return [
      judged({
        ...{
          key: `sockets-${topology}/ws`,
          title: `${watchers} watchers of a run that prints ${bytes / 1_048_576} MiB, until all have all of it, ${topology}, against raw ws`,
        },
        ...{ must: 0.7, aim: 0.9, rounds: ratios(results, 'runledger', 'ws') },
        details: results.map(({ runledger, ws }) => ({ product: runledger, peer: ws })),
      }),
    ];
  } finally {
    await Promise.all([live?.stop(), raw?.stop(), server?.stop()]);
    await product.stop();
  }
}
