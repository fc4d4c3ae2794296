/** A service that says back what it is told, for the bus's own tests. */
import { Controller, Inject } from '@nestjs/common';
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { Refusal } from '#domain';
import { Answers, bell, command, correlation, type PayloadStore, query, type Request } from './index.js';

export const echo = command<
  { text: string; gone?: string },
  { text: string; by: string; actor: string; gone: boolean }
>('cmd.echo.Echo', 'executor', ['gateway']);
export const refuse = command<null, never>('cmd.echo.Refuse', 'executor', ['gateway']);
export const crash = command<null, void>('cmd.echo.Crash', 'executor', ['gateway']);
export const nothing = command<null, void>('cmd.echo.Nothing', 'executor', ['gateway']);
export const wait = command<{ ms: number }, string>('cmd.echo.Wait', 'executor', ['gateway'], { timeoutMs: 300 });
export const patient = command<{ ms: number }, string>('cmd.echo.Patient', 'executor', ['gateway'], {
  timeoutMs: 9000,
});
export const traced = query<null, { current: string | undefined }>('qry.echo.traced', 'executor', [
  'gateway',
  'history',
]);
export const orphan = query<null, string>('qry.orphan.any', 'history', ['gateway']);
export const forbidden = command<null, string>('cmd.user.Promote', 'executor', ['auth']);
export const happened = bell<{ n: number }>(
  'evt.echo.Happened',
  ['executor', 'gateway'],
  ['gateway', 'executor', 'history'],
);
export const out = bell<string>('out.*', ['executor', 'gateway'], ['gateway']);
export const bells = [happened, out];
export const subjects = [echo, refuse, crash, nothing, wait, patient, traced, orphan, forbidden];

@Controller()
export class EchoController {
  constructor(@Inject('INSTANCE') private readonly instance: string) {}

  @Answers(echo)
  async echo({ data, meta }: Request<{ text: string; gone?: string }>) {
    return { text: data.text, by: this.instance, actor: meta.actor, gone: !('gone' in data) };
  }

  @Answers(refuse)
  async refuse(): Promise<never> {
    throw new Refusal('conflict', 'RUN_OVER', 'The run is already over', { at: ['noon'], n: 1 });
  }

  @Answers(crash)
  async crash(): Promise<void> {
    throw new TypeError('the password is hunter2');
  }

  @Answers(nothing)
  async nothing(): Promise<void> {}

  @Answers(wait)
  wait({ data }: Request<{ ms: number }>): Promise<string> {
    return pause(data.ms, 'waited');
  }

  @Answers(patient)
  patient({ data }: Request<{ ms: number }>): Promise<string> {
    return pause(data.ms, 'waited');
  }

  @Answers(traced)
  async traced() {
    await pause(2);
    return { current: correlation.current() };
  }

  @Answers(forbidden)
  async forbidden() {
    return 'promoted';
  }
}

export class MemoryPayloads implements PayloadStore {
  readonly rows = new Map<string, string>();
  puts = 0;

  async put(text: string) {
    const id = `row-${++this.puts}`;
    this.rows.set(id, text);
    return id;
  }

  async take(id: string) {
    const text = this.rows.get(id);
    this.rows.delete(id);
    if (text === undefined) throw new Error('gone');
    return text;
  }
}

export const meta = (id: string = randomUUID()) => ({ actor: 'user-1', correlationId: id });
export const eventually = async (truth: () => boolean, ms = 60_000) => {
  for (const until = Date.now() + ms; !truth() && Date.now() < until;) await pause(10);
  if (!truth()) throw new Error(`Not within ${ms} ms: ${String(truth)}`);
};
export const caught = async (work: Promise<unknown>) => {
  const from = performance.now();
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return { error, ms: performance.now() - from };
};
