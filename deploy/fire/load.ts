/** Orders with keys: sent, perhaps cut off, and sent again by the same key until they are acknowledged. All of it is recorded. */
import { randomUUID } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Api, type RunShape } from './api.js';
import { type Stack } from './stack.js';

/** One request and what came of it: a status, or no answer at all. */
export interface Attempt {
  readonly sentAt: number;
  endedAt: number;
  status: number | null;
  /** Unanswered when a fault was injected. */
  struck: boolean;
}

export interface Order {
  readonly key: string;
  readonly body: object;
  readonly attempts: Attempt[];
  /** Set by the first 2xx. */
  run: string | null;
  position: string | null;
  /** Every run that a 2xx ever named: more than one is a fault of the product. */
  readonly named: Set<string>;
}

const mostOfTrickle = 100;

export class Load {
  readonly orders: Order[] = [];
  private readonly inFlight = new Set<Attempt>();
  private readonly working = new Set<Promise<void>>();
  private stopped = false;
  /** Acknowledged a second time on purpose, to see the first answer again. */
  repeats = 0;

  constructor(
    private readonly stack: Stack,
    private readonly make: (key: string) => object,
    private readonly repeatShare = 0.05,
    private readonly api: Api = stack.api,
  ) {}

  get unanswered(): number {
    return this.inFlight.size;
  }

  /** Orders with a 2xx. */
  acknowledged = 0;

  /** Marks what waits for its answer right now. */
  strike(): number {
    for (const attempt of this.inFlight) attempt.struck = true;
    return this.inFlight.size;
  }

  /** That many at once. */
  burst(count: number): void {
    for (let i = 0; i < count; i++) this.track(this.carryThrough(this.order()));
  }

  /** A steady stream until `settle`; what a busy machine made late is made up for. */
  trickle(perSecond: number): void {
    this.track(
      (async () => {
        const began = performance.now();
        for (let sent = 0; !this.stopped; await sleep(10)) {
          const due = Math.floor(((performance.now() - began) / 1_000) * perSecond);
          for (; sent < due && this.unanswered < mostOfTrickle; sent++) this.track(this.carryThrough(this.order()));
          // While nothing is answered nothing is owed either.
          sent = Math.max(sent, due - perSecond);
        }
      })(),
    );
  }

  async one(make = this.make): Promise<Order> {
    const order = this.order(make);
    await this.carryThrough(order);
    return order;
  }

  /** Ends the trickle and waits until every order is acknowledged; false when some never were. */
  async settle(ms = 60_000): Promise<boolean> {
    this.stopped = true;
    const until = performance.now() + ms;
    while (this.working.size > 0 && performance.now() < until) await sleep(20);
    this.giveUp = true;
    await Promise.all(this.working);
    this.write();
    return this.orders.every(({ run }) => run !== null);
  }

  private giveUp = false;

  private order(make = this.make): Order {
    const key = `fire-${randomUUID()}`;
    const order = { key, body: make(key), attempts: [], run: null, position: null, named: new Set<string>() };
    this.orders.push(order);
    return order;
  }

  private track(work: Promise<void>): void {
    const tracked = work.finally(() => this.working.delete(tracked));
    this.working.add(tracked);
  }

  private async carryThrough(order: Order): Promise<void> {
    for (let pause = 50; order.run === null && !this.giveUp; pause = Math.min(pause * 1.6, 600)) {
      if (order.attempts.length > 0) await sleep(pause);
      await this.send(order);
    }
    if (order.attempts.length === 1 && Number.parseInt(order.key.slice(-4), 16) / 0xffff < this.repeatShare) {
      this.repeats++;
      await this.send(order);
    }
  }

  private async send(order: Order): Promise<void> {
    const attempt: Attempt = { sentAt: Date.now(), endedAt: 0, status: null, struck: false };
    order.attempts.push(attempt);
    this.inFlight.add(attempt);
    try {
      const headers = { 'idempotency-key': order.key };
      const { status, body, position } = await this.api.post<RunShape>('/api/v1/runs', order.body, headers);
      attempt.status = status;
      if (status < 200 || status > 299) return;
      order.named.add(body.id);
      if (order.run === null) this.acknowledged++;
      order.run ??= body.id;
      order.position ??= position ?? null;
    } catch {
      // Unanswered: whether it was carried out is for the ledger to say.
    } finally {
      attempt.endedAt = Date.now();
      this.inFlight.delete(attempt);
    }
  }

  /** The history that the checks are made from, beside the logs. */
  private write(): void {
    const lines = this.orders.map(({ key, run, position, attempts }) =>
      JSON.stringify({ key, run, position, attempts }),
    );
    appendFileSync(path.join(this.stack.scene.dir, 'history.jsonl'), `${lines.join('\n')}\n`);
  }
}
