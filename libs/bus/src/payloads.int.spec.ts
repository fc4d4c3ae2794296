import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { createDatabase, type TestDatabase } from '#testing';
import { payloadMigrationSql, PostgresPayloads } from './index.js';

describe('PostgresPayloads', () => {
  let database: TestDatabase;
  let pool: pg.Pool;

  beforeAll(async () => {
    database = await createDatabase();
    pool = new pg.Pool({ connectionString: database.url });
    await pool.query(payloadMigrationSql);
  });
  afterAll(async () => {
    await pool.end();
    await database.drop();
  });

  const count = async () => (await pool.query('select count(*)::int as n from bus_payload')).rows[0].n as number;

  it('keeps a text until it is taken, once', async () => {
    const payloads = new PostgresPayloads(pool);
    const text = JSON.stringify({ ok: `\u0000 ž 🐎 ${'x'.repeat(5_000_000)}` });
    const id = await payloads.put(text);
    expect((await payloads.take(id)) === text).toBe(true);
    await expect(payloads.take(id)).rejects.toThrow('is gone');
    expect(await count()).toBe(0);
  });

  it('removes what nobody took within ten minutes', async () => {
    const old = [randomUUID(), randomUUID()];
    await pool.query(`insert into bus_payload (id, body, created_at) values ($1, 'a', now() - interval '11 minutes')`, [
      old[0],
    ]);
    await pool.query(`insert into bus_payload (id, body, created_at) values ($1, 'b', now() - interval '9 minutes')`, [
      old[1],
    ]);
    const payloads = new PostgresPayloads(pool);
    await payloads.put('c');
    expect(await count()).toBe(2);
    await expect(payloads.take(String(old[0]))).rejects.toThrow('is gone');
    expect(await payloads.take(String(old[1]))).toBe('b');
  });
});
