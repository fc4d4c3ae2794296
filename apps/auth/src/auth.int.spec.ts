import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { JwtService } from '@nestjs/jwt';
import { newId, Refusal } from '#domain';
import { type Context } from '#service';
import { eventually, World } from '../../../libs/testing/src/context.js';
import { FirstAdmin } from './first-admin.js';
import { Keys } from './keys.js';
import { hashPassword } from './passwords.js';
import { SessionController } from './session.controller.js';

let world: World;
let context: Context;
let sessions: SessionController;
const password = 'correct horse';

/** A ledger without anybody. */
async function freshWorld(): Promise<void> {
  world = await World.create();
  context = await world.open({ RUNLEDGER_ADMIN_PASSWORD: password });
  sessions = new SessionController(context, new Keys(context));
}

const metaOf = (actor = 'anonymous') => ({ actor, correlationId: newId() });
const signIn = (secret: string, login = 'admin') =>
  sessions.signIn({ data: { login, password: secret }, meta: metaOf() });
const verify = (session: string, user: string) => sessions.verify({ data: { session, user }, meta: metaOf() });
const refusal = (work: Promise<unknown>) =>
  work.then(
    () => 'not refused',
    (error: unknown) => (error instanceof Refusal ? error.toJSON() : error),
  );
/** The session's id stands in the token. */
const sessionOf = ({ token }: { token: string }) => new JwtService({}).decode<{ sid: string; sub: string }>(token);
const typesOf = async () => (await context.ledger.readFrom('0', 1_000)).map(({ type }) => type);

describe('the first admin', () => {
  beforeEach(freshWorld);
  afterEach(() => world.close());
  const at = (name: string, settings: NodeJS.ProcessEnv = {}) =>
    world.open({ RUNLEDGER_DATA: path.join(world.dir, name), ...settings });
  const boot = (each: Context) => new FirstAdmin(each).onApplicationBootstrap();
  const written = async (name: string) => (await readFile(path.join(world.dir, name, 'admin-password'), 'utf8')).trim();

  test('has the password of the environment, and nothing is written', async () => {
    const own = await at('given', { RUNLEDGER_ADMIN_PASSWORD: password });
    await boot(own);
    await boot(own);
    expect(await typesOf()).toEqual(['UserRegistered']);
    await expect(written('given')).rejects.toMatchObject({ code: 'ENOENT' });
    for (const login of ['admin', 'ADMIN', 'admin@example.com', 'Admin@Example.com']) {
      expect((await signIn(password, login)).user).toMatchObject({ username: 'admin', role: 'admin' });
    }
  });

  test('gets a generated one that only its owner can read', async () => {
    const own = await at('generated');
    await boot(own);
    const secret = await written('generated');
    expect(secret).toMatch(/^[\w-]{20}$/);
    expect((await stat(path.join(world.dir, 'generated/admin-password'))).mode & 0o777).toBe(0o600);
    await signIn(secret);
    expect(JSON.stringify(await context.ledger.readFrom('0', 100))).not.toContain(secret);
  });

  test('five auths at once in one folder make one, with the password that is written there', async () => {
    const all = await Promise.all(Array.from({ length: 5 }, () => at('shared')));
    await Promise.all(all.map(boot));
    expect((await typesOf()).filter((type) => type === 'UserRegistered')).toHaveLength(1);
    expect((await context.pool.query('select from account')).rowCount).toBe(1);
    await signIn(await written('shared'));
  });

  test('five auths in folders of their own make one, and only the password that opens stays', async () => {
    const names = ['f1', 'f2', 'f3', 'f4', 'f5'];
    await Promise.all(names.map(async (name) => boot(await at(name))));
    expect((await context.pool.query('select from account')).rowCount).toBe(1);
    const left = (await Promise.all(names.map((name) => written(name).catch(() => null)))).filter((each) => each);
    expect(left).toHaveLength(1);
    await signIn(left[0]!);
  });

  test('a file that a crash left is used, one without a password is not', async () => {
    for (const name of ['crashed', 'hollow']) await mkdir(path.join(world.dir, name), { recursive: true });
    await writeFile(path.join(world.dir, 'hollow/admin-password'), '\n');
    await expect(boot(await at('hollow'))).rejects.toThrow('holds no password');
    expect((await context.pool.query('select from account')).rowCount).toBe(0);
    await writeFile(path.join(world.dir, 'crashed/admin-password'), 'left by a crash\n');
    await boot(await at('crashed'));
    await signIn('left by a crash');
  });
});

describe('sessions', () => {
  beforeAll(async () => {
    await freshWorld();
    await new FirstAdmin(context).onApplicationBootstrap();
  });
  afterAll(() => world.close());

  test('an unknown name, a wrong password and an inactive user are answered alike, and take as long', async () => {
    const expected = { kind: 'unauthenticated', code: 'BAD_CREDENTIALS', message: 'Invalid credentials' };
    /** The best of three: what the machine does besides is no part of it. */
    const timed = async (work: () => Promise<unknown>) => {
      let best = Infinity;
      for (let i = 0; i < 3; i++) {
        const before = performance.now();
        expect(await refusal(work())).toEqual(expected);
        best = Math.min(best, performance.now() - before);
      }
      return best;
    };
    const unknown = await timed(() => signIn(password, 'nobody'));
    const wrong = await timed(() => signIn('wrong'));
    await context.pool.query('update account set active = false');
    const inactive = await timed(() => signIn(password));
    await context.pool.query('update account set active = true');
    for (const ms of [unknown, wrong, inactive]) expect(ms).toBeGreaterThan(Math.max(unknown, wrong, inactive) / 5);
    expect(await refusal(signIn('x'.repeat(1_025)))).toEqual(expected);
    expect(await refusal(signIn(password, 'x'.repeat(257)))).toEqual(expected);
    const reasons = await eventually(async () => {
      const refused = (await context.ledger.readFrom('0', 1_000)).filter(({ type }) => type === 'SessionRefused');
      return refused.length === 6 && refused.map(({ data }) => (data as { reason: string }).reason);
    });
    expect(new Set(reasons)).toEqual(new Set(['inactive', 'wrong password']));
  });

  test('a session lives until it is ended, for its own user only', async () => {
    const { sid, sub } = sessionOf(await signIn(password));
    expect(await verify(sid, sub)).toMatchObject({ id: sid, user: { id: sub, username: 'admin' } });
    expect(await verify(sid, newId())).toBeNull();
    expect(await verify('x', sub)).toBeNull();
    const signOut = () => sessions.signOut({ data: { session: sid }, meta: metaOf(sub) });
    expect(await signOut()).toEqual({ ended: true });
    expect(await verify(sid, sub)).toBeNull();
    expect(await signOut()).toEqual({ ended: false });
  });

  test('a session runs out, and none of an inactive user lives', async () => {
    const { sid, sub } = sessionOf(await signIn(password));
    await context.pool.query('update account set active = false');
    expect(await verify(sid, sub)).toBeNull();
    await context.pool.query('update account set active = true');
    expect(await verify(sid, sub)).not.toBeNull();
    await context.pool.query(`update session set expires_at = clock_timestamp() - interval '1 s' where id = $1`, [sid]);
    expect(await verify(sid, sub)).toBeNull();
  });

  test('a new password ends every other session and removes the first one’s file', async () => {
    const file = path.join(context.config.dataDir, 'admin-password');
    await mkdir(context.config.dataDir, { recursive: true });
    await writeFile(file, 'old\n');
    const [mine, ...others] = await Promise.all([signIn(password), signIn(password), signIn(password)]);
    const { sid, sub } = sessionOf(mine);
    const replace = (current: string, next: string) =>
      sessions.replacePassword({ data: { current, next, session: sid }, meta: metaOf(sub) });
    const wrong = { kind: 'rejected', code: 'WRONG_PASSWORD' };
    expect(await refusal(replace('wrong', 'new password'))).toMatchObject(wrong);
    expect(await readFile(file, 'utf8')).toBe('old\n');
    await replace(password, 'new password');
    expect(await verify(sid, sub)).not.toBeNull();
    for (const other of others) expect(await verify(sessionOf(other).sid, sub)).toBeNull();
    await expect(readFile(file)).rejects.toMatchObject({ code: 'ENOENT' });
    expect(await refusal(signIn(password))).toMatchObject({ code: 'BAD_CREDENTIALS' });
    await signIn('new password');
    expect(JSON.stringify(await context.ledger.readFrom('0', 1_000))).not.toMatch(/new password|argon2/);
  });

  test('a flood of logins is refused as limited, and nothing else suffers', async () => {
    const answers = await Promise.all(Array.from({ length: 120 }, () => refusal(signIn('new password'))));
    const limited = answers.filter((answer) => answer !== 'not refused');
    expect(limited.length).toBeGreaterThan(20);
    for (const answer of limited) expect(answer).toMatchObject({ kind: 'limited', code: 'TOO_MANY_LOGINS' });
    expect(answers.length - limited.length).toBeGreaterThanOrEqual(34);
    await signIn('new password');
  });

  test('the keys are made once, however many auths want one at a time, and all sign with it', async () => {
    await context.pool.query('truncate signing_key');
    const contexts = await Promise.all(Array.from({ length: 4 }, () => world.open()));
    const keys = contexts.map((each) => new Keys(each));
    const claims = { sub: newId(), sid: newId(), exp: Math.floor(Date.now() / 1_000) + 60 };
    const tokens = await Promise.all(keys.map((each) => each.sign(claims)));
    const [known, ...more] = await keys[0]!.publicKeys();
    expect(more).toEqual([]);
    for (const token of tokens) {
      const options = {
        publicKey: known!.pem,
        algorithms: ['ES256' as const],
        issuer: 'runledger',
        audience: 'runledger',
      };
      expect(await new JwtService({}).verifyAsync<object>(token, options)).toMatchObject(claims);
    }
  });
});

test('two hashes at a time and 32 that wait; whoever comes while one leaves takes no place of theirs', async () => {
  let hashed = 0;
  const hash = () => hashPassword('x').then(() => hashed++);
  const all = Array.from({ length: 34 }, hash);
  expect(await refusal(hash())).toMatchObject({ kind: 'limited' });
  // As soon as one has left there is exactly one place again.
  await Promise.race(all);
  const [taken, refused] = [hash(), refusal(hash())];
  expect(await refused).toMatchObject({ kind: 'limited' });
  await Promise.all([...all, taken]);
  expect(hashed).toBe(35);
});
