/** Results go to stdout, everything else to stderr. */
import { once } from 'node:events';
import { styleText } from 'node:util';

export type Sink = NodeJS.WriteStream;
export type Style = Parameters<typeof styleText>[0];

export async function write(sink: Sink, data: string | Uint8Array): Promise<void> {
  if (data.length > 0 && !sink.write(data)) await once(sink, 'drain');
}

export const printText = (text: string): Promise<void> => write(process.stdout, `${text}\n`);

/** One JSON value, whatever reads it. */
export const printJson = (value: unknown): Promise<void> =>
  printText(JSON.stringify(value, null, process.stdout.isTTY ? 2 : undefined));

export const say = (text: string): void => void process.stderr.write(`${text}\n`);

/** Colours are for people who look, and who have not declined them. */
export function styled(style: Style, text: string, sink: Sink = process.stdout): string {
  const wanted = sink.isTTY && !process.env.NO_COLOR && process.env.TERM !== 'dumb';
  return wanted ? styleText(style, text, { validateStream: false }) : text;
}
