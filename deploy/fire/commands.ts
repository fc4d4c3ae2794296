/** Commands that write down what they do, so that it can be told afterwards who ran when, and how often. */
import path from 'node:path';
import { linesOf, type Stack } from './stack.js';

export interface RunBody {
  name: string;
  action: { kind: string; shell?: string; env?: Record<string, string> };
  policies?: object;
}

export const marksFile = (stack: Stack): string => path.join(stack.scene.dir, 'marks');
const beatsFile = (stack: Stack) => path.join(stack.scene.dir, 'beats');

/** Appends `run attempt pid` first; O_APPEND keeps lines whole. */
export function marked(stack: Stack, name: string, shell: string, policies: object = {}): RunBody {
  const mark = `echo "$RUNLEDGER_RUN_ID $RUNLEDGER_ATTEMPT $$" >> '${marksFile(stack)}'`;
  return {
    name,
    action: { kind: 'command', shell: `${mark}; ${shell}`, env: { FIRE: stack.scene.dir } },
    policies,
  };
}

export const noop = (name: string): RunBody => ({ name, action: { kind: 'noop' } });

/** Writes `run attempt nanoseconds` four times a second, in the background of the command that follows. */
export function beating(stack: Stack, shell: string): string {
  const beat = `echo "$RUNLEDGER_RUN_ID $RUNLEDGER_ATTEMPT $(date +%s%N)" >> '${beatsFile(stack)}'`;
  return `(while :; do ${beat}; sleep 0.25; done) & B=$!; ${shell}; E=$?; kill $B; exit $E`;
}

export interface Mark {
  readonly run: string;
  readonly attempt: number;
  readonly pid: number;
}

export function marksOf(stack: Stack): Mark[] {
  return linesOf(marksFile(stack)).map((line) => {
    const [run = '', attempt, pid] = line.split(' ');
    return { run, attempt: Number(attempt), pid: Number(pid) };
  });
}

/** Runs of which one attempt still beat when the next had begun. */
export function overlaps(stack: Stack): string[] {
  const spans = new Map<string, Map<number, { first: number; last: number }>>();
  for (const line of linesOf(beatsFile(stack))) {
    const [run = '', attempt, nanoseconds] = line.split(' ');
    const at = Number(nanoseconds) / 1e6;
    const attempts = spans.get(run) ?? new Map<number, { first: number; last: number }>();
    spans.set(run, attempts);
    const span = attempts.get(Number(attempt)) ?? { first: at, last: at };
    attempts.set(Number(attempt), { first: Math.min(span.first, at), last: Math.max(span.last, at) });
  }
  return [...spans].flatMap(([run, attempts]) => {
    const ordered = [...attempts].toSorted(([a], [b]) => a - b).map(([, span]) => span);
    const bad = ordered.some((span, i) => i > 0 && span.first <= ordered[i - 1]!.last);
    return bad ? [run] : [];
  });
}
