import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { newId, type Action, type GivenAction, type Sealed } from '#domain';
import { type Context } from '#service';
import { World } from '../../testing/src/context.js';
import { forgetFormer, rotate } from './rotate.js';
import { Secrets } from './secrets.js';

let world: World;
let context: Context;
beforeEach(async () => {
  world = await World.create();
  context = await world.open();
});
afterEach(() => world.close());

const given = (env: Record<string, string | { secret: string }>): GivenAction => ({ kind: 'command', shell: ':', env });
const canary = () => `canary-${randomBytes(12).toString('hex')}`;
const envOf = (action: Action) => (action.kind === 'command' && action.env) || {};

/** Seals and stores it as something that `holder` refers to. */
async function store(
  env: Record<string, string | { secret: string }>,
  holder: string = newId(),
  secrets = context.secrets,
) {
  const { action, secrets: rows } = secrets.seal(given(env));
  await context.ledger.call({ secret_add: rows.map((row) => ({ holder, ...row })) });
  return envOf(action);
}

const drop = (...runs: string[]) => context.ledger.call({ secret_drop: runs.map((run) => ({ run })) });
const hold = (holder: string, id: string) => context.ledger.call({ secret_add: [{ holder, id }] });
const sealedIn = (value: string | Sealed | undefined) => (value as Sealed).sealed;

describe('the master key', () => {
  const start = (file = world.masterKeyFile) => Secrets.start(context.pool, file);

  test('is made once, for its owner alone, whoever starts first', async () => {
    await context.pool.query('delete from secret');
    const file = path.join(world.dir, 'deep/own-key');
    const all = await Promise.all(Array.from({ length: 8 }, () => start(file)));
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(new Set(all.map((each) => each.digest('x'))).size).toBe(1);
  });

  test('that is another one, or none, is told at the start, and nothing is made in its place', async () => {
    const other = path.join(world.dir, 'other-key');
    await expect(start(other)).rejects.toThrow(/other-key is missing: .* RUNLEDGER_MASTER_KEY_FILE/);
    expect(existsSync(other)).toBe(false);
    writeFileSync(other, `${randomBytes(32).toString('base64')}\n`, { mode: 0o600 });
    await expect(start(other)).rejects.toThrow(/other-key is another one: this database holds secrets/);
    for (const text of ['', 'hunter2\n', `${randomBytes(31).toString('base64')}\n`]) {
      writeFileSync(other, text);
      await expect(start(other)).rejects.toThrow(/no file of master keys/);
    }
  });

  test('that others may read is refused', async () => {
    chmodSync(world.masterKeyFile, 0o644);
    await expect(start()).rejects.toThrow(/open to other users .* chmod 600/);
    chmodSync(world.masterKeyFile, 0o440);
    await expect(start()).resolves.toBeInstanceOf(Secrets);
  });

  test('that is gone while we run does no harm until the next start', async () => {
    const env = await store({ A_TOKEN: 'a value of it' });
    rmSync(world.masterKeyFile);
    await sleep(1_100);
    await store({ A_TOKEN: 'another' });
    expect((await context.secrets.open(env)).env).toEqual({ A_TOKEN: 'a value of it' });
  });
});

describe('a secret', () => {
  test('is sealed when it is marked or named so; anything else stays, and all come back', async () => {
    const env = { API_TOKEN: 'by its name', plain: { secret: 'by its mark' }, db_password: '', MODE: 'release' };
    const sealed = await store(env);
    expect(sealed).toEqual({
      ...{ API_TOKEN: { sealed: expect.any(String) }, plain: { sealed: expect.any(String) } },
      ...{ db_password: '', MODE: 'release' },
    });
    const opened = await context.secrets.open(sealed);
    expect(opened.env).toEqual({ API_TOKEN: 'by its name', plain: 'by its mark', db_password: '', MODE: 'release' });
    expect(opened.secret).toEqual(['API_TOKEN', 'plain', 'db_password']);
  });

  test('stands in no table and not in what is sent', async () => {
    const values = Array.from({ length: 20 }, canary);
    const order = context.secrets.seal(given(Object.fromEntries(values.map((value, i) => [`KEY_${i}`, value]))));
    await context.ledger.call({ secret_add: order.secrets.map((row) => ({ holder: newId(), ...row })) });
    const { rows } = await context.pool.query<{ wrapped: Buffer; value: Buffer }>('select * from secret');
    const seen =
      JSON.stringify(order) + rows.map((row) => row.wrapped.toString('latin1') + row.value.toString('latin1'));
    expect(rows.length).toBe(21);
    for (const value of values) expect(seen).not.toContain(value);
    expect(new Set(rows.map(({ wrapped }) => wrapped.toString('hex'))).size).toBe(21);
  });

  test('opens in its own place only', async () => {
    const env = await store({ A_KEY: 'first value', B_KEY: 'second value' });
    const [a, b] = [sealedIn(env['A_KEY']), sealedIn(env['B_KEY'])];
    const closed = /cannot be opened with this master key/;
    await expect(context.secrets.open({ A_KEY: { sealed: b } })).rejects.toThrow(closed);
    const swap = (columns: string) =>
      context.pool.query(
        `update secret s set (${columns}) = (select ${columns} from secret o where o.id <> s.id and o.id in ($1, $2))
        where s.id in ($1, $2)`,
        [a, b],
      );
    for (const columns of ['value, key_id', 'wrapped, key_id', 'wrapped, value, key_id']) {
      await swap(columns);
      await expect(context.secrets.open(env)).rejects.toThrow(closed);
      await swap(columns);
      expect((await context.secrets.open(env)).env).toEqual({ A_KEY: 'first value', B_KEY: 'second value' });
    }
    await context.pool.query(`update secret set value = convert_to('first value', 'UTF8') where id = $1`, [a]);
    await expect(context.secrets.open(env)).rejects.toThrow(closed);
  });

  test('lives as long as anybody holds it', async () => {
    const [run, again, process] = [newId(), newId(), newId()];
    const env = await store({ A_TOKEN: 'a value of it' }, run);
    const id = sealedIn(env['A_TOKEN']);
    await hold(again, id);
    await hold(process, id);
    await drop(run, newId());
    await context.ledger.call({ secret_drop: [{ process }] });
    expect((await context.secrets.open(env)).env).toEqual({ A_TOKEN: 'a value of it' });
    await drop(again);
    await expect(context.secrets.open(env)).rejects.toThrow('the secret in A_TOKEN was destroyed');
    await drop(again);
    const { rows } = await context.pool.query('select from secret_holder');
    expect(rows).toEqual([]);
  });
});

test('rotation: while secrets are made and opened nothing fails, and the former key can go', async () => {
  const file = world.masterKeyFile;
  const others = await world.open();
  const former = readFileSync(file, 'utf8').trim();
  const digest = context.secrets.digest('a request');
  const kept: [env: Record<string, string | Sealed>, value: string][] = [];
  for (let i = 0; i < 1_200; i += 100) {
    const values = Array.from({ length: 100 }, canary);
    const env = await store(Object.fromEntries(values.map((value, n) => [`KEY_${n}`, value])));
    kept.push(...values.map((value, n): (typeof kept)[0] => [{ [`KEY_${n}`]: env[`KEY_${n}`]! }, value]));
  }
  const check = async ([env, value]: (typeof kept)[0]) =>
    expect(Object.values((await others.secrets.open(env)).env)).toEqual([value]);
  let rotating = true;
  const load = async () => {
    for (let i = 0; rotating; i++) {
      const value = canary();
      kept.push([await store({ A_TOKEN: value }, newId(), i % 2 ? others.secrets : context.secrets), value]);
      await check(kept[i % kept.length]!);
    }
  };
  const loads = [load(), load()];
  const rewrapped = await rotate(context.pool, file, 4_000);
  await sleep(1_000);
  expect(rewrapped).toBeGreaterThanOrEqual(1_200);
  expect(await forgetFormer(context.pool, file)).toBe(1);
  await sleep(200);
  rotating = false;
  await Promise.all(loads);
  expect(readFileSync(file, 'utf8')).not.toContain(former);
  const { rows } = await context.pool.query('select distinct key_id from secret');
  expect(rows).toHaveLength(1);
  const fresh = await world.open();
  expect(fresh.secrets.digest('a request')).toBe(digest);
  for (const each of kept) await check(each);
}, 60_000);
