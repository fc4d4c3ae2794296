#!/usr/bin/env node
import { existsSync } from 'node:fs';

const main = new URL('../../dist/apps/cli/src/main.js', import.meta.url);
if (existsSync(main)) await import(main.href);
else {
  process.stderr.write('runledger is not compiled yet: run "npm ci && npm run build" in its repository.\n');
  process.exitCode = 1;
}
