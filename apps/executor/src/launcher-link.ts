import { LauncherClient, type LauncherEvents, type LauncherOptions } from './launcher/launcher-client.js';
import { type KillReason, type RunKey } from './launcher/protocol.js';
import { type Attempt } from './attempt.js';

type Hooks = Omit<LauncherEvents, 'onGone'> & {
  /** After each connection: what the launcher has, so that the executor can adopt it or end it. */
  onConnected: (client: LauncherClient) => Promise<void> | void;
  onTrouble: (error: unknown) => void;
};

/** The executor's line to its launcher: connects, and connects again when the launcher died; orders wait meanwhile. */
export class LauncherLink {
  private client: LauncherClient | null = null;
  private stopped = false;

  constructor(
    private readonly options: Pick<LauncherOptions, 'dir' | 'executor' | 'log'>,
    private readonly hooks: Hooks,
  ) {}

  async connect(): Promise<void> {
    for (let pause = 100; !this.stopped; pause = Math.min(2 * pause, 5_000)) {
      try {
        const client = await LauncherClient.connect({ ...this.options, ...this.hooks, onGone: () => this.gone() });
        if (this.stopped) return client.close();
        this.client = client;
        await this.hooks.onConnected(client);
        return;
      } catch (error) {
        this.hooks.onTrouble(error);
        await new Promise((resolve) => setTimeout(resolve, pause));
      }
    }
  }

  /** Sends an attempt's order, now or after the next connection (`onConnected` sends what has not been sent). */
  send(attempt: Attempt): void {
    if (!this.client || !attempt.order || attempt.order.sent) return;
    attempt.order.sent = true;
    this.client.start(attempt.order.start);
  }

  kill(key: RunKey, why: KillReason, graceMs?: number): void {
    this.client?.kill(key, why, graceMs);
  }

  renew(): void {
    this.client?.renew();
  }

  ack(key: RunKey, seq: number): void {
    this.client?.ack(key, seq);
  }

  forget(key: RunKey): void {
    this.client?.forget(key);
  }

  shutdown(graceMs: number): void {
    this.client?.shutdown(graceMs);
  }

  close(): void {
    this.stopped = true;
    this.client?.close();
  }

  private gone(): void {
    this.client = null;
    if (!this.stopped) void this.connect();
  }
}
