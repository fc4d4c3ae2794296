/** What the events of a run come to, told a second time and apart from the product's own fold, to compare with its views. */
export interface LedgerEvent {
  position: string;
  stream: string;
  version: number;
  type: string;
  data: Record<string, unknown>;
  recorded: number;
}

export interface Told {
  name: string;
  status: string;
  attempt: number;
  startedAt: string | null;
  finishedAt: string | null;
  exitCode: number | null;
  signal: string | null;
  bytes: number | null;
  sha256: string | null;
  ops: number;
  progress: number | null;
  message: string | null;
}

const endings: Record<string, string> = {
  RunSucceeded: 'succeeded',
  RunFailed: 'failed',
  RunTimedOut: 'timed-out',
  RunCancelled: 'cancelled',
};

/** Later words replace earlier ones; a new attempt forgets what the one before left. */
export function tell(events: readonly LedgerEvent[]): Told {
  const birth = events[0]!.data as { name: string };
  const last = <T>(name: string, from: readonly LedgerEvent[]) =>
    (from.findLast(({ data }) => data[name] !== undefined)?.data[name] ?? null) as T | null;
  const started = events.findLastIndex(({ type }) => type === 'RunStarted');
  const attempt = events.slice(Math.max(started, 0)).filter(({ type }) => type !== 'RunLateReported');
  const progress = attempt.filter(({ type }) => type === 'RunProgressed');
  const end = attempt.findLast(({ type }) => endings[type] !== undefined);
  const output = end?.data['output'] as { bytes: number; sha256: string } | null | undefined;
  const over = attempt.findLast(({ type }) => endings[type] || type === 'RunLost' || type === 'RunSkipped');
  const waits = attempt.at(-1)?.type === 'RunRetryScheduled';
  return {
    name: birth.name,
    status: statusOf(attempt),
    attempt: (started < 0 ? 0 : events[started]!.data['attempt']) as number,
    startedAt: (started < 0 ? null : events[started]!.data['at']) as string | null,
    finishedAt: waits ? null : ((over?.data['at'] ?? null) as string | null),
    exitCode: (end?.data['exitCode'] ?? null) as number | null,
    signal: (end?.data['signal'] ?? null) as string | null,
    bytes: output?.bytes ?? null,
    sha256: output?.sha256 ?? null,
    ops: last<number>('ops', progress) ?? 0,
    progress: last<number>('progress', progress),
    message: last<string>('message', progress),
  };
}

function statusOf(attempt: readonly LedgerEvent[]): string {
  const telling = attempt.findLast(({ type }) => !['RunProgressed', 'RunCancelRequested'].includes(type));
  const { type } = telling!;
  if (endings[type]) return endings[type];
  const others: Record<string, string> = {
    RunRequested: 'queued',
    RunRetryScheduled: 'queued',
    RunHeld: 'held',
    RunSkipped: 'skipped',
    RunStarted: 'running',
    RunLost: 'lost',
  };
  return others[type] ?? type;
}

const logged: Record<string, string> = {
  ProcessDefined: 'task_created',
  ProcessRevised: 'task_updated',
  ProcessEnabled: 'task_updated',
  ProcessDisabled: 'task_updated',
  ProcessRetired: 'task_deleted',
  RunStarted: 'task_start',
  RunSucceeded: 'task_complete',
  RunFailed: 'task_error',
  RunTimedOut: 'task_error',
  RunCancelled: 'task_error',
  RunLost: 'task_error',
  RunRetryScheduled: 'task_retry',
};

/** What the activity log has of a stream: `position type` each. A forced end is told by its verdict; what was purged is gone. */
export function logOf(events: readonly LedgerEvent[]): string[] {
  const [first] = events;
  const stranger = first!.type === 'RunRequested' && first!.data['process'] === null;
  if (stranger || events.some(({ type }) => type === 'RunPurged')) return [];
  return events.flatMap(({ position, type, data }) => {
    const forced = data['status'] === 'succeeded' ? 'task_complete' : 'task_error';
    const entry = type === 'RunForceCompleted' ? forced : logged[type];
    return entry ? [`${position} ${entry}`] : [];
  });
}

export function grouped<T>(list: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of list) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group) group.push(item);
    else groups.set(key, [item]);
  }
  return groups;
}
