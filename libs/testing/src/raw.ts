/** Bytes to a server as they stand, for what no HTTP client would send. */
import { connect } from 'node:net';

export interface RawAnswer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Record<string, string>;
  readonly text: string;
}

/** Sends a request, `Connection: close` included by the sender, and reads until the server hangs up. */
export async function sendRaw(url: string, request: string): Promise<RawAnswer> {
  const { hostname, port } = new URL(url);
  const answer = await new Promise<string>((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => socket.write(request));
    let text = '';
    socket.setEncoding('utf8');
    socket.setTimeout(60_000, () => socket.destroy(new Error(`No end of the answer within a minute: ${text}`)));
    socket.on('data', (piece: string) => (text += piece));
    socket.on('close', () => resolve(text));
    // After an answer the server may reset what it has not read.
    socket.on('error', (error) => (text ? resolve(text) : reject(error)));
  });
  const [head = '', ...rest] = answer.split('\r\n\r\n');
  const [status = '', ...lines] = head.split('\r\n');
  const headers = Object.fromEntries(lines.map((line) => line.split(': ', 2) as [string, string]));
  const lower = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]);
  return {
    status: Number(status.split(' ')[1]),
    headers: Object.fromEntries(lower) as Record<string, string>,
    text: rest.join('\r\n\r\n'),
  };
}
