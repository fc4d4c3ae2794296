import { expect, test } from '@jest/globals';
import { Progress, type Counts } from './progress.js';

const counts = (more: Partial<Counts>): Counts => ({
  pending: 0,
  running: 0,
  succeeded: 0,
  failed: 0,
  cancelled: 0,
  ...more,
});

function shown(sink: { isTTY: boolean; columns?: number }): { progress: Progress; written: string[] } {
  const written: string[] = [];
  const write = (text: string) => written.push(text) > 0;
  return { progress: new Progress(4, { ...sink, write } as unknown as NodeJS.WriteStream), written };
}

test('elsewhere: a line for each change', () => {
  const { progress, written } = shown({ isTTY: false });
  progress.show(counts({ pending: 3, running: 1 }));
  progress.show(counts({ pending: 3, running: 1 }));
  progress.show(counts({ running: 2, succeeded: 1, failed: 1 }));
  progress.end();
  expect(written).toEqual(['0 of 4 over: 3 pending, 1 running\n', '2 of 4 over: 2 running, 1 succeeded, 1 failed\n']);
});

test('on a terminal: one line, drawn anew, no longer than it is wide, gone at the end', () => {
  const { progress, written } = shown({ isTTY: true, columns: 50 });
  progress.show(counts({ pending: 2, succeeded: 2 }));
  progress.end();
  expect(written).toEqual(['\r\x1b[K[############............] 2 of 4 over: 2 pending', '\r\x1b[K']);
});
