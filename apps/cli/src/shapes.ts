/** The answers of Runledger's API, as far as the command line reads them. */
export interface Run {
  id: string;
  name: string;
  process: { id: string; name: string; revision: number } | null;
  action: { kind: string; command?: string[]; shell?: string; cwd?: string };
  status: string;
  reason: string | null;
  attempt: number;
  priority: number;
  owner: string;
  batch: string | null;
  server: string | null;
  scheduledFor: string | null;
  requestedAt: string;
  startedAt: string | null;
  finishedAt: string | null;
  durationMs: number | null;
  exitCode: number | null;
  signal: string | null;
  progress: number | null;
  message: string | null;
  output: { bytes: number; stored: number; truncated: boolean } | null;
}

export interface Process {
  id: string;
  name: string;
  enabled: boolean;
  action: { kind: string };
  words: string | null;
  nextRunAt: string | null;
  lastRun: Run | null;
}

export interface Tick {
  at: string;
  outcome: 'fired' | 'skipped' | 'held';
  text: string;
}

export interface Job {
  id: string;
  name: string | null;
  status: string;
  return_code: number | null;
  error: string | null;
}

export interface Batch {
  id: string;
  name: string | null;
  total_jobs: number;
  pending_count: number;
  running_count: number;
  success_count: number;
  failed_count: number;
  canceled_count: number;
  jobs: Job[];
}

const waiting = new Set(['queued', 'held', 'running']);

export const isOver = ({ status }: Run): boolean => !waiting.has(status);

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

export const isId = (text: string): boolean => uuid.test(text);
