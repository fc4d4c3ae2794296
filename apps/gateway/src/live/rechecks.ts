import { bells, type Session } from '#bus';
import { Refusal } from '#domain';
import { type Context } from '#service';
import { endsSessions } from '../session-cache.js';
import { type TokenCheck } from '../token-check.js';

/** Who is connected, by which right. */
export interface Standing {
  readonly token: string;
  readonly session: Session;
}

const recheckEvery = 5_000;
/** After somebody's session or rights changed: all who are told of it within this time are one look at the sockets. */
const recheckWithin = 250;

/** Whoever was signed out, disabled or given other rights does not go on watching. */
export class Rechecks {
  private readonly all = new Map<Standing, () => void>();
  private readonly unlisten: () => void;
  private readonly timer: NodeJS.Timeout;
  private soon: NodeJS.Timeout | null = null;

  constructor(
    { bus }: Context,
    private readonly tokens: TokenCheck,
  ) {
    this.unlisten = bus.listen(bells.flushed, ({ types }) => {
      if (endsSessions(types) && this.all.size > 0) this.recheckSoon();
    });
    this.timer = setInterval(() => void this.recheck(), recheckEvery);
    this.timer.unref();
  }

  add(standing: Standing, cut: () => void): void {
    this.all.set(standing, cut);
  }

  delete(standing: Standing): void {
    this.all.delete(standing);
  }

  stop(): void {
    this.unlisten();
    clearInterval(this.timer);
    clearTimeout(this.soon ?? undefined);
  }

  private recheckSoon(): void {
    this.soon ??= setTimeout(() => {
      this.soon = null;
      void this.recheck();
    }, recheckWithin);
  }

  private async recheck(): Promise<void> {
    for (const [standing, cut] of this.all) {
      if (!(await this.stillHolds(standing))) cut();
    }
  }

  private async stillHolds({ token, session }: Standing): Promise<boolean> {
    try {
      return (await this.tokens.check(token)).user.role === session.user.role;
    } catch (error) {
      return error instanceof Refusal && error.kind === 'unavailable';
    }
  }
}
