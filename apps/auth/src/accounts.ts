import { defineEntity, p, type InferEntity } from '@mikro-orm/core';
import { type MikroORM } from '@mikro-orm/postgresql';
import { type UserCard } from '#bus';
import { roles } from '#domain';
import { withStore } from '#ledger';

export const Account = defineEntity({
  name: 'Account',
  tableName: 'account',
  properties: {
    id: p.uuid().primary(),
    number: p.integer(),
    username: p.text(),
    email: p.text(),
    role: p.enum(roles).type('text'),
    active: p.boolean(),
    passwordHash: p.text(),
    maxConcurrentRuns: p.integer().nullable(),
    createdAt: p.datetime(),
  },
});
export type AccountRow = InferEntity<typeof Account>;

export const UserHandle = defineEntity({
  name: 'UserHandle',
  tableName: 'user_handle',
  properties: { handle: p.text().primary(), userId: p.uuid() },
});

export const SessionRow = defineEntity({
  name: 'SessionRow',
  tableName: 'session',
  properties: {
    id: p.uuid().primary(),
    userId: p.uuid(),
    createdAt: p.datetime(),
    expiresAt: p.datetime(),
    endedAt: p.datetime().nullable(),
  },
});

export const authEntities = [Account, UserHandle, SessionRow];

const reading = (orm: MikroORM) => orm.em.fork({ disableTransactions: true });

/** By name or e-mail, without case. */
export function accountByLogin(orm: MikroORM, login: string): Promise<AccountRow | null> {
  return withStore(async () => {
    const em = reading(orm);
    const handle = await em.findOne(UserHandle, { handle: login.toLowerCase() });
    return handle && em.findOne(Account, { id: handle.userId });
  });
}

export const accountById = (orm: MikroORM, id: string): Promise<AccountRow | null> =>
  withStore(() => reading(orm).findOne(Account, { id }));

/** In the order in which they were made. */
export const allAccounts = (orm: MikroORM): Promise<AccountRow[]> =>
  withStore(() => reading(orm).find(Account, {}, { orderBy: { number: 'asc' } }));

/** The session and its user while both stand; null once it has ended, expired, or the user is inactive. */
export function liveSession(
  orm: MikroORM,
  id: string,
  userId: string,
): Promise<{ account: AccountRow; expiresAt: Date } | null> {
  return withStore(async () => {
    const em = reading(orm);
    const session = await em.findOne(SessionRow, { id, userId, endedAt: null, expiresAt: { $gt: new Date() } });
    const account = session && (await em.findOne(Account, { id: userId, active: true }));
    return account ? { account, expiresAt: session!.expiresAt } : null;
  });
}

export function cardOf({ createdAt, ...row }: AccountRow): UserCard {
  const { id, number, username, email, role, active, maxConcurrentRuns = null } = row;
  return { id, number, username, email, role, active, maxConcurrentRuns, createdAt: createdAt.toISOString() };
}
