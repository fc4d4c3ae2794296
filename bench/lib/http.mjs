/** The load generator: undici's dispatch, nothing above it, on kept-alive connections. */
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

  /** Resolves with status and text; an answer that is no 2xx is an error. */
  call(method, path, body, headers = this.headers) {
    return new Promise((resolve, reject) => {
      let status = 0;
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
          },
          onResponseData(_controller, chunk) {
            text += chunk.latin1Slice();
          },
          onResponseEnd() {
            if (status >= 200 && status < 300) resolve({ status, body: text });
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

/** `count` calls, at most `inFlight` under way at once. */
export async function inFlight(lanes, count, call) {
  let next = 0;
  await Promise.all(
    Array.from({ length: Math.min(lanes, count) }, async () => {
      while (next < count) await call(next++);
    }),
  );
}
