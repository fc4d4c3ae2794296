import { Controller } from '@nestjs/common';
import { Answers, subjects, type NewUser, type Request, type UserCard, type UserChange } from '#bus';
import { isId, Refusal, user } from '#domain';
import { handle, type Alongside } from '#ledger';
import { Context, metaOf } from '#service';
import { accountById, allAccounts, cardOf } from './accounts.js';
import { forgetFirstPassword } from './first-admin.js';
import { hashPassword } from './passwords.js';

/** The accounts as their manager sees them. Passwords are hashed here and go no further. */
@Controller()
export class UserController {
  constructor(private readonly context: Context) {}

  /** A name or e-mail that somebody has, in whatever case, is a `conflict`. */
  @Answers(subjects.createUser)
  async create({ data, meta: call }: Request<NewUser>): Promise<{ user: UserCard; position: string }> {
    const { ledger } = this.context;
    const { id, password, username, email, role, maxConcurrentRuns: most = null } = data;
    const meta = metaOf(call, id);
    const hash = await hashPassword(password);
    const registered = { number: await ledger.number('user'), username, email, role };
    const row = { id, ...registered, hash, most, createdAt: meta.now };
    const register = { type: 'RegisterUser' as const, meta, data: { ...registered, maxConcurrentRuns: most } };
    const alongside = () => ({ account_add: [row], ...limitRow(id, most) });
    const { position } = await refusing(() => handle(ledger, user, id, register, { creating: true, alongside }));
    return { user: await this.card(id), position };
  }

  /** Sessions end with a deactivation and with a new password; the last active admin stays one. */
  @Answers(subjects.changeUser)
  async change({ data, meta: call }: Request<UserChange>): Promise<{ user: UserCard; position: string }> {
    const { id, password, ...change } = data;
    if (!isId(id)) throw noSuchUser();
    const hash = password === undefined ? undefined : await hashPassword(password);
    const { role, active, maxConcurrentRuns: most } = change;
    const row = { id, role, active, hash, limited: most !== undefined, most };
    const command = {
      ...{ type: 'ChangeUser' as const, meta: metaOf(call) },
      data: { ...change, password: hash !== undefined },
    };
    const alongside = () => ({ account_change: [row], ...limitRow(id, most) });
    const { position } = await refusing(() => handle(this.context.ledger, user, id, command, { alongside }));
    if (hash) await forgetFirstPassword(id, this.context.config.dataDir);
    return { user: await this.card(id), position };
  }

  @Answers(subjects.listUsers)
  async list(_request: Request<Record<string, never>>): Promise<UserCard[]> {
    return (await allAccounts(this.context.orm)).map(cardOf);
  }

  @Answers(subjects.getUser)
  async get({ data: { id } }: Request<{ id: string }>): Promise<UserCard | null> {
    const account = isId(id) ? await accountById(this.context.orm, id) : null;
    return account && cardOf(account);
  }

  private async card(id: string): Promise<UserCard> {
    const account = await accountById(this.context.orm, id);
    if (!account) throw noSuchUser();
    return cardOf(account);
  }
}

/** What the claim holds him to, from the same commit on. */
const limitRow = (owner: string, most: number | null | undefined): Alongside =>
  most === undefined ? {} : { limit_set: [{ owner, most }] };

const noSuchUser = () => new Refusal('not-found', 'USER_NOT_FOUND', 'No such user');

/** What the rows refuse under the ledger's lock, in words. */
async function refusing<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { code, constraint } = error as { code?: unknown; constraint?: unknown };
    if (code === '23505' && constraint === 'user_handle_pkey')
      throw new Refusal('conflict', 'USER_EXISTS', 'Somebody has this name or e-mail already');
    if (code === 'P0ADM')
      throw new Refusal('rejected', 'LAST_ADMIN', 'This is the last active admin: make another one first');
    throw error;
  }
}
