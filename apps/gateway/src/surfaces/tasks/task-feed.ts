import { Injectable } from '@nestjs/common';
import { subjects, type EventMessage } from '#bus';
import { newId, streamParts, type NotificationEvent, type ProcessEvent, type RunEvent } from '#domain';
import { Context } from '#service';
import { EventFeed } from '../../live/event-feed.js';
import { type Line } from '../../live/line.js';
import { OutputFeeds, type Joined } from '../../live/output-feeds.js';
import { isFinal, isTaskRun, noticeFrames, processFrames, runFrames } from './frames.js';
import { type Frame } from './frames.shapes.js';
import { Known, type KnownRun } from './known.js';

/** One who watches. */
export interface TaskWatcher {
  readonly line: Line;
  /** Whose tasks he watches; everybody's when null. */
  readonly owner: string | null;
  readonly gone: boolean;
  tell(frame: Frame): void;
}

/** Running executions that a newcomer is shown. */
const mostShown = 200;

/** Reads the ledger once for all who watch tasks at this gateway, and tells each what is his. */
@Injectable()
export class TaskFeed {
  /** Whose output each of them is told. */
  private readonly watchers = new Map<TaskWatcher, Map<string, Joined>>();
  private readonly known: Known;
  private feed: Promise<{ leave: () => void }> | null = null;
  /** Those who are on their way in. */
  private joining = 0;
  /** The newest position heard of. */
  private at = '0';
  private readonly queue: EventMessage[] = [];
  private busy = false;

  constructor(
    private readonly context: Context,
    private readonly events: EventFeed,
    private readonly outputs: OutputFeeds,
  ) {
    this.known = new Known(context.bus);
  }

  /** The task that an execution is of, while anybody is told of it. */
  taskOf(run: string): string | null {
    return this.known.run(run)?.row.process.id ?? null;
  }

  /** Whatever comes after `welcome` is told. */
  async join(watcher: TaskWatcher, welcome: () => void): Promise<void> {
    this.joining++;
    try {
      await (this.feed ??= this.open());
      if (watcher.gone) return;
      welcome();
      this.watchers.set(watcher, new Map());
    } finally {
      this.joining--;
      this.leaveIdle();
    }
    await this.showRunning(watcher);
  }

  leave(watcher: TaskWatcher): void {
    this.watchers.get(watcher)?.forEach((joined) => joined.leave());
    if (this.watchers.delete(watcher)) this.leaveIdle();
  }

  private async open(): Promise<{ leave: () => void }> {
    const heard = (event: EventMessage) => this.heard(event);
    try {
      const joined = await this.events.join({ kind: 'events', id: '' }, undefined, heard);
      this.at = joined.position;
      return joined;
    } catch (error) {
      this.feed = null;
      throw error;
    }
  }

  private leaveIdle(): void {
    if (this.watchers.size + this.joining > 0) return;
    const { feed } = this;
    this.feed = null;
    this.queue.length = 0;
    this.known.clear();
    void feed?.then(
      ({ leave }) => leave(),
      () => undefined,
    );
  }

  /** What runs already is told from the beginning of its attempt: of his tasks, whoever started them. */
  private async showRunning(watcher: TaskWatcher): Promise<void> {
    const filter = { status: ['running' as const], limit: mostShown, after: this.at };
    let cursor: string | null | undefined;
    for (let shown = 0; cursor !== null && shown < mostShown && !watcher.gone;) {
      const asked = cursor === undefined ? filter : { ...filter, cursor };
      const { value } = await this.context.bus.send(subjects.listRuns, asked, meta());
      cursor = value.next;
      for (const row of value.items) {
        if (!isTaskRun(row) || watcher.gone) continue;
        const known = await this.known.learn(row);
        if (known.row.status !== 'running' || !isFor(watcher, known.owner)) continue;
        this.follow(watcher, known, { attempt: row.attempt, seq: 0 });
        shown++;
      }
    }
  }

  private heard(event: EventMessage): void {
    this.queue.push(event);
    this.at = event.position;
    if (!this.busy) void this.work();
  }

  /** One after another; nothing is waited for where all is known. */
  private async work(): Promise<void> {
    this.busy = true;
    for (let event; (event = this.queue.shift());) {
      try {
        const asking = this.known.missing(event);
        if (asking) await asking;
        this.take(event);
      } catch (err) {
        this.context.log.warn({ err, position: event.position }, 'watchers of tasks miss an event');
      }
    }
    this.busy = false;
  }

  private take(event: EventMessage): void {
    const { category, id } = streamParts(event.stream);
    if (category === 'process') this.ofProcess(id, event);
    if (category === 'run') this.ofRun(id, event);
    if (category === 'notification') this.ofNotice(event);
  }

  private ofProcess(id: string, event: EventMessage): void {
    const told = event as unknown as ProcessEvent;
    const process = this.known.foldProcess(id, told);
    if (!process) return;
    const frames = processFrames(process.name, id, told, event.position);
    for (const watcher of this.watchersOf(process.owner)) frames.forEach((frame) => watcher.tell(frame));
  }

  private ofRun(id: string, event: EventMessage): void {
    const told = event as unknown as RunEvent;
    const run = this.known.foldRun(id, told);
    if (!run) return;
    const final = isFinal(run.row, run.ending);
    const frames = runFrames(run.row, told, event.position, final);
    for (const watcher of this.watchersOf(run.owner)) {
      if (final) this.finish(watcher, run, frames);
      else frames.forEach((frame) => watcher.tell(frame));
      if (told.type === 'RunStarted' && !final) this.follow(watcher, run, { attempt: told.data.attempt, seq: 0 });
    }
  }

  private ofNotice(event: EventMessage): void {
    const told = event as unknown as NotificationEvent;
    const frames = noticeFrames(told, event.position);
    for (const watcher of this.watchersOf(told.data.owner)) frames.forEach((frame) => watcher.tell(frame));
  }

  private watchersOf(owner: string): TaskWatcher[] {
    return [...this.watchers.keys()].filter((watcher) => isFor(watcher, owner));
  }

  private follow(watcher: TaskWatcher, { row }: KnownRun, after: { attempt: number; seq: number }): void {
    const joined = this.watchers.get(watcher);
    if (joined && !joined.has(row.id)) joined.set(row.id, this.outputs.join(row.id, after, watcher.line));
  }

  /** An execution's end is told after all that it printed. */
  private finish(watcher: TaskWatcher, { row }: KnownRun, frames: Frame[]): void {
    const joined = this.watchers.get(watcher)?.get(row.id);
    const tell = () => frames.forEach((frame) => watcher.tell(frame));
    if (!joined) return tell();
    joined.finish(() => {
      tell();
      joined.leave();
      this.watchers.get(watcher)?.delete(row.id);
    });
  }
}

const isFor = (watcher: TaskWatcher, owner: string) => watcher.owner === null || watcher.owner === owner;
const meta = () => ({ actor: 'system', correlationId: newId() });
