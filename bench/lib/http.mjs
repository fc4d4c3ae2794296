/** The load generator: a single call by undici's dispatch with nothing above it, or one call many times by a bare socket. */
import { connect } from 'node:net';
import { Pool } from 'undici';

export class Api {
  /** @param {string} url */
  constructor(url, { connections = 32, pipelining = 1 } = {}) {
    this.url = url;
    this.pool = new Pool(url, { connections, pipelining, headersTimeout: 60_000, bodyTimeout: 60_000 });
    this.headers = { 'content-type': 'application/json' };
  }

  async login(password) {
    const { body } = await this.call('POST', '/api/v1/auth/token', `username=admin&password=${password}`, {
      'content-type': 'application/x-www-form-urlencoded',
    });
    this.token = JSON.parse(body).access_token;
    this.headers = { ...this.headers, authorization: `Bearer ${this.token}` };
    return this;
  }

  /** Resolves with status, text and when the first of the answer was there; an answer that is no 2xx is an error. */
  call(method, path, body, headers = this.headers) {
    return new Promise((resolve, reject) => {
      let status = 0;
      let answered = 0;
      let text = '';
      this.pool.dispatch(
        {
          method,
          path,
          body,
          headers: body === undefined && headers === this.headers ? { authorization: headers.authorization } : headers,
        },
        {
          onRequestStart() {},
          onResponseStart(_controller, code) {
            status = code;
            answered = performance.now();
          },
          onResponseData(_controller, chunk) {
            text += chunk.latin1Slice();
          },
          onResponseEnd() {
            if (status >= 200 && status < 300) resolve({ status, body: text, answered });
            else reject(new Error(`${method} ${path}: ${status} ${text.slice(0, 300)}`));
          },
          onResponseError(_controller, error) {
            reject(error);
          },
        },
      );
    });
  }

  async json(method, path, body) {
    return JSON.parse((await this.call(method, path, body === undefined ? undefined : JSON.stringify(body))).body);
  }

  close() {
    return this.pool.destroy();
  }
}

/**
 * One request `count` times over, on as many kept-alive connections as may be under way at once. Written by hand, as wrk and its
 * like are: product and client share the machine's cores, and what is measured is the product. An answer that is no 2xx is an error.
 */
export async function repeat({ url, headers }, { lanes, count, method, path, body }) {
  const { hostname, port, host } = new URL(url);
  const lines = Object.entries({ host, ...headers, 'content-length': Buffer.byteLength(body) });
  const request = `${method} ${path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${body}`;
  let left = count;
  const lane = () =>
    new Promise((resolve, reject) => {
      const socket = connect({ host: hostname, port: Number(port), noDelay: true });
      let text = '';
      const next = () => {
        if (left-- > 0) return socket.write(request, 'latin1');
        socket.destroy();
        resolve();
      };
      socket.setEncoding('latin1');
      socket.on('error', reject);
      socket.on('close', () => reject(new Error('the product hung up')));
      socket.on('connect', next);
      socket.on('data', (data) => {
        text += data;
        const end = text.indexOf('\r\n\r\n');
        if (end < 0) return;
        const length = /\r\ncontent-length: (\d+)\r\n/i.exec(text)?.[1];
        if (!text.startsWith('HTTP/1.1 2') || length === undefined) {
          socket.destroy();
          return reject(new Error(`${method} ${path}: ${text.slice(0, 600)}`));
        }
        if (text.length < end + 4 + Number(length)) return;
        text = '';
        next();
      });
    });
  await Promise.all(Array.from({ length: Math.min(lanes, count) }, lane));
}

/** `count` calls, at most `lanes` under way at once. */
export async function inFlight(lanes, count, call) {
  let next = 0;
  await Promise.all(
    Array.from({ length: Math.min(lanes, count) }, async () => {
      while (next < count) await call(next++);
    }),
  );
}
