/** Once a test run, after the last test: ends its PostgreSQL and removes its folder; jest wants a default export. */
import { rmSync } from 'node:fs';

export default async function tearDown(): Promise<void> {
  await globalThis.stopTestPostgres?.();
  const dir = process.env.RUNLEDGER_TEST_DIR;
  if (dir) rmSync(dir, { recursive: true, force: true });
}
