import { subjects, type Bus, type EventMessage } from '#bus';
import { foldRun, newId, streamParts, type ProcessEvent, type RunEvent, type RunRow } from '#domain';
import { isTaskRun, type TaskRun } from './frames.js';

export interface KnownRun {
  row: TaskRun;
  /** Of the process. */
  owner: string;
  /** Somebody wants it to end: it is not tried again. */
  ending: boolean;
}
interface KnownProcess {
  owner: string;
  name: string;
}

const most = 20_000;

/** Runs and processes that events lately were of; null for what is nobody's task. Asked for where they began before anybody watched. */
export class Known {
  private readonly runs = new Map<string, KnownRun | null>();
  private readonly processes = new Map<string, KnownProcess | null>();

  constructor(private readonly bus: Bus) {}

  run(id: string): KnownRun | null {
    return this.runs.get(id) ?? null;
  }

  clear(): void {
    this.runs.clear();
    this.processes.clear();
  }

  /** A run that was read elsewhere. */
  async learn(row: TaskRun): Promise<KnownRun> {
    const known = this.runs.get(row.id);
    if (known) return known;
    await this.learnProcess(row.process.id);
    return this.keepRun(row.id, row, false)!;
  }

  /** What has to be asked before this event can be folded; null when nothing. */
  missing({ stream, position, type, data }: EventMessage): Promise<unknown> | null {
    const { category, id } = streamParts(stream);
    if (category === 'process') return type === 'ProcessDefined' ? null : this.learnProcess(id, position);
    if (category !== 'run') return null;
    if (type === 'RunRequested') {
      const { process } = data as { process: { id: string } | null };
      return process && this.learnProcess(process.id, position);
    }
    return this.runs.has(id) ? null : this.learnRun(id, position);
  }

  foldProcess(id: string, event: ProcessEvent): KnownProcess | null {
    if (event.type === 'ProcessDefined')
      this.keep(this.processes, id, { owner: event.data.owner, name: event.data.name });
    const known = this.processes.get(id) ?? null;
    if (known && event.type === 'ProcessRevised') known.name = event.data.name;
    return known;
  }

  foldRun(id: string, event: RunEvent): KnownRun | null {
    const known = this.runs.get(id) ?? null;
    const row = foldRun(known?.row ?? null, id, event);
    const ends = event.type === 'RunCancelRequested' || event.type === 'RunForceCompleted';
    return this.keepRun(id, row, ends || (known?.ending ?? false));
  }

  private keepRun(id: string, row: RunRow | null, ending: boolean): KnownRun | null {
    if (!row || !isTaskRun(row)) {
      this.keep(this.runs, id, null);
      return null;
    }
    const owner = this.processes.get(row.process.id)?.owner ?? row.owner;
    const run = { row: lean(row), owner, ending };
    this.keep(this.runs, id, run);
    return run;
  }

  private async learnRun(id: string, after: string): Promise<void> {
    const { value } = await this.bus.send(subjects.getRun, { id, after }, meta());
    if (value && isTaskRun(value)) await this.learn(value);
    else this.keep(this.runs, id, null);
  }

  private learnProcess(id: string, after?: string): Promise<void> | null {
    if (this.processes.has(id)) return null;
    return this.bus.send(subjects.getProcess, { id, ...(after ? { after } : {}) }, meta()).then(({ value }) => {
      if (value) this.keep(this.processes, id, { owner: value.owner, name: value.name });
    });
  }

  /** Whoever has been kept longest goes. */
  private keep<T>(all: Map<string, T>, id: string, value: T): void {
    all.set(id, value);
    if (all.size <= most) return;
    const [oldest] = all.keys();
    all.delete(oldest!);
  }
}

/** Without what may be large and is not told. */
const lean = (row: TaskRun): TaskRun => ({ ...row, action: { kind: 'noop' }, parameters: null, payload: null });

const meta = () => ({ actor: 'system', correlationId: newId() });
