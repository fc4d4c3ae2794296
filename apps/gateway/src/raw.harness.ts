import { request, type IncomingHttpHeaders } from 'node:http';

interface RawAnswer {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
}

/** A GET whose target and headers go out just as they are given: no client has a say in them. */
export function raw(url: string, target: string, headers: Record<string, string>): Promise<RawAnswer> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const asked = request({ hostname, port, path: target, headers, timeout: 3_000 });
    asked.on('timeout', () => asked.destroy(new Error('no answer')));
    asked.on('error', reject).on('response', (response) => {
      response.setEncoding('utf8');
      let body = '';
      response.on('data', (piece: string) => (body += piece));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
    });
    asked.end();
  });
}
