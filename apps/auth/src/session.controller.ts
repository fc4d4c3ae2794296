import { Controller } from '@nestjs/common';
import { Answers, subjects, type Request, type Session, type SignedIn, type SignIn } from '#bus';
import { isId, newId, Refusal, session, user } from '#domain';
import { handle, repeated } from '#ledger';
import { Context, metaOf, systemMeta } from '#service';
import { accountById, accountByLogin, cardOf, liveSession } from './accounts.js';
import { forgetFirstPassword } from './first-admin.js';
import { Keys } from './keys.js';
import { hashPassword, isPassword } from './passwords.js';

const badCredentials = () => new Refusal('unauthenticated', 'BAD_CREDENTIALS', 'Invalid credentials');
const longestPassword = 1_024;

@Controller()
export class SessionController {
  constructor(
    private readonly context: Context,
    private readonly keys: Keys,
  ) {}

  /** One answer, body and time, for an unknown name, a wrong password and an inactive user. */
  @Answers(subjects.signIn)
  async signIn({
    data: { login, password, minutes = this.context.config.RUNLEDGER_TOKEN_MINUTES },
    meta: call,
  }: Request<SignIn>): Promise<SignedIn> {
    const { orm, log } = this.context;
    if (Buffer.byteLength(password) > longestPassword || login.length > 256) throw badCredentials();
    const account = await accountByLogin(orm, login);
    const good = await isPassword(account?.passwordHash ?? null, password);
    if (!account || !good || !account.active) {
      if (account) void this.refused(account.id, good ? 'inactive' : 'wrong password', call.correlationId);
      throw badCredentials();
    }
    const sid = newId();
    const exp = Math.floor(Date.now() / 1_000) + minutes * 60;
    const expiresAt = new Date(exp * 1_000).toISOString();
    // Signing in again is another session, whatever key the request has.
    const { idempotency: _, ...order } = call;
    const meta = { ...metaOf(order), actor: account.id };
    const open = { type: 'OpenSession' as const, meta, data: { user: account.id, expiresAt } };
    const row = { id: sid, user: account.id, expiresAt };
    await handle(this.context.ledger, session, sid, open, {
      creating: true,
      alongside: () => ({ session_open: [row] }),
    });
    log.info({ user: account.id, username: account.username }, 'signed in');
    return { token: await this.keys.sign({ sub: account.id, sid, exp }), expiresAt, user: cardOf(account) };
  }

  @Answers(subjects.signOut)
  async signOut({ data: { session: id }, meta }: Request<{ session: string }>): Promise<{ ended: boolean }> {
    const end = { type: 'EndSession' as const, meta: metaOf(meta), data: {} };
    const { events } = await handle(this.context.ledger, session, id, end, {
      alongside: () => ({ session_end: [{ id }] }),
    });
    return { ended: events.length > 0 };
  }

  @Answers(subjects.replacePassword)
  async replacePassword({
    data,
    meta: call,
  }: Request<{ current: string; next: string; session: string }>): Promise<{ position: string }> {
    const { orm, config } = this.context;
    const meta = metaOf(call);
    const before = meta.idempotency && (await repeated(this.context.ledger, meta));
    if (before) return { position: before.position };
    const account = await accountById(orm, meta.actor);
    const tooLong = Math.max(Buffer.byteLength(data.current), Buffer.byteLength(data.next)) > longestPassword;
    if (tooLong || !(await isPassword(account?.passwordHash ?? null, data.current))) {
      throw new Refusal('rejected', 'WRONG_PASSWORD', 'The current password is wrong');
    }
    const hash = await hashPassword(data.next);
    const rows = { account_change: [{ id: meta.actor, hash, keep: data.session }] };
    const command = { type: 'ChangeUser' as const, meta, data: { password: true } };
    const { position } = await handle(this.context.ledger, user, meta.actor, command, { alongside: () => rows });
    await forgetFirstPassword(meta.actor, config.dataDir);
    return { position };
  }

  @Answers(subjects.verifySession)
  async verify({
    data: { session: sid, user: id },
  }: Request<{ session: string; user: string }>): Promise<Session | null> {
    if (!isId(sid) || !isId(id)) return null;
    const found = await liveSession(this.context.orm, sid, id);
    return found && { id: sid, user: cardOf(found.account), expiresAt: found.expiresAt.toISOString() };
  }

  @Answers(subjects.publicKeys)
  publicKeys(_request: Request<Record<string, never>>): Promise<{ kid: string; pem: string }[]> {
    return this.keys.publicKeys();
  }

  /** Not waited for: an unknown name has nothing to record and must not answer sooner. */
  private async refused(id: string, reason: string, correlationId: string): Promise<void> {
    try {
      const meta = systemMeta(newId(), correlationId);
      const refuse = { type: 'RefuseSession' as const, meta, data: { user: id, reason } };
      await handle(this.context.ledger, session, newId(), refuse, { creating: true });
    } catch (err) {
      this.context.log.warn({ err, user: id }, 'a refused login was not recorded');
    }
  }
}
