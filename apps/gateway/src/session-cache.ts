import { Injectable } from '@nestjs/common';
import { bells, type Session } from '#bus';
import { Context } from '#service';

const lifetime = 5_000;
const most = 10_000;
const ending = new Set([
  'SessionEnded',
  'UserDeactivated',
  'UserReactivated',
  'UserRoleAssigned',
  'UserPasswordReplaced',
  'UserLimitChanged',
]);

/** Whether a flush with events of these types may have ended sessions, or changed what they may. */
export const endsSessions = (types: readonly string[]): boolean => types.some((type) => ending.has(type));

/** Tokens that were found good, for five seconds at most; emptied as soon as anybody's session or rights change. */
@Injectable()
export class SessionCache {
  private readonly sessions = new Map<string, { session: Session; until: number; expiresAt: number }>();
  private readonly asking = new Map<string, Promise<Session>>();
  /** Counts evictions, so that an answer that was under way during one is not kept. */
  private generation = 0;

  constructor({ bus }: Context) {
    bus.listen(bells.flushed, ({ types }) => {
      if (endsSessions(types)) this.clear();
    });
  }

  get(token: string): Session | undefined {
    const found = this.sessions.get(token);
    if (!found) return undefined;
    if (performance.now() < found.until && found.expiresAt > Date.now()) return found.session;
    this.sessions.delete(token);
    return undefined;
  }

  /**
   * At once where it is known, else it asks; what `ask` throws is not kept. All who come meanwhile wait for the one question: when auth was
   * away, everybody asking at once would keep it too busy to answer anybody in time, and so for ever.
   */
  through(token: string, ask: () => Promise<Session>): Session | Promise<Session> {
    const known = this.get(token) ?? this.asking.get(token);
    if (known) return known;
    const { generation } = this;
    const asked = ask()
      .then((session) => {
        if (generation === this.generation) this.keep(token, session);
        return session;
      })
      .finally(() => {
        if (this.asking.get(token) === asked) this.asking.delete(token);
      });
    this.asking.set(token, asked);
    return asked;
  }

  private keep(token: string, session: Session): void {
    if (this.sessions.size >= most) this.sessions.clear();
    this.sessions.set(token, {
      session,
      until: performance.now() + lifetime,
      expiresAt: Date.parse(session.expiresAt),
    });
  }

  private clear(): void {
    this.generation++;
    this.sessions.clear();
    this.asking.clear();
  }
}
