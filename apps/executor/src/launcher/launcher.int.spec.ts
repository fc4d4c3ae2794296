import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Bench, path } from './launcher.harness.js';

let bench: Bench;
const dir = mkdtempSync(join(tmpdir(), 'launcher-files-'));
beforeAll(async () => {
  bench = await new Bench().connect();
});
afterAll(async () => {
  await bench.stop();
  rmSync(dir, { recursive: true, force: true });
});

describe('how a command ends', () => {
  it.each([0, 1, 7, 127, 143, 255])('exit code %i', async (code) => {
    bench.sh(`exit-${code}`, `exit ${code}`);
    expect(await bench.closed(`exit-${code}`)).toMatchObject({
      exitCode: code,
      signal: null,
      killed: null,
      survivors: [],
    });
  });

  it.each(['TERM', 'KILL', 'SEGV'])('a signal of its own, SIG%s, is no exit code', async (name) => {
    bench.sh(`signal-${name}`, `kill -${name} $$`);
    expect(await bench.closed(`signal-${name}`)).toMatchObject({ exitCode: null, signal: `SIG${name}`, killed: null });
  });

  it('a key with run, attempt and epoch comes back as it was; a second start does nothing', async () => {
    const key = { run: 'r', attempt: 2, epoch: '77' };
    bench.sh(key, 'echo once');
    bench.sh(key, 'echo twice');
    expect((await bench.closed(key)).key).toEqual(key);
    expect(bench.stored(key).toString()).toBe('once\n');
  });

  it.each([
    ['no-command', ['no-such-command'], {}, 'command_not_found', 'ENOENT'],
    ['no-path', ['/no/such/command'], {}, 'command_not_found', 'ENOENT'],
    ['not-executable', ['/etc/passwd'], {}, 'command_not_executable', 'EACCES'],
    ['a-directory', ['/etc'], {}, 'command_not_executable', 'EACCES'],
    ['no-cwd', ['/bin/true'], { cwd: '/no/such/directory' }, 'cwd_missing', 'ENOENT'],
    ['cwd-is-file', ['/bin/true'], { cwd: '/etc/passwd' }, 'cwd_missing', 'ENOTDIR'],
    ['nul', ['/bin/echo', 'a\0b'], {}, 'spawn_failed', 'EINVAL'],
    ['empty', [], {}, 'spawn_failed', 'EINVAL'],
    ['too-big', ['/bin/echo', 'x'.repeat(200_000)], {}, 'spawn_failed', 'E2BIG'],
    ['far-too-big', ['/bin/echo', ...Array<string>(60).fill('x'.repeat(100_000))], {}, 'spawn_failed', 'E2BIG'],
  ])('%s is refused with its reason', async (key, argv, order, code, errno) => {
    bench.start(key, argv, order);
    while (!bench.of(key).refused) await sleep(5);
    expect(bench.of(key).refused).toMatchObject({ key, code, errno });
  });
});

describe('what a command is given', () => {
  it('its arguments and nothing else', async () => {
    const argv = ['/usr/bin/printf', '%s\\n', 'a b', '', '$HOME', "it's", 'ü€😀', '*'];
    bench.start('argv', argv);
    await bench.closed('argv');
    expect(bench.stored('argv').toString()).toBe("a b\n\n$HOME\nit's\nü€😀\n*\n");
  });

  it('its environment, and a launcher inherits nothing to it', async () => {
    bench.start('env', ['/usr/bin/env'], { env: { PATH: path, A: '1 2', B: 'ü=x' } });
    bench.start('no-env', ['/usr/bin/env'], { env: {} });
    await Promise.all([bench.closed('env'), bench.closed('no-env')]);
    expect(bench.stored('env').toString()).toBe(`PATH=${path}\nA=1 2\nB=ü=x\n`);
    expect(bench.stored('no-env').toString()).toBe('');
  });

  it('its working directory, /dev/null, two pipes, its own session and no ignored signal', async () => {
    mkdirSync(join(dir, 'cwd'));
    writeFileSync(join(dir, 'cwd', 'tool'), '#!/bin/sh\nexec "$@"\n', { mode: 0o755 });
    const cwd = join(dir, 'cwd');
    bench.start('place', ['./tool', '/bin/bash', '-c', 'pwd; readlink /proc/self/fd/0; ls /proc/$$/fd; cat'], { cwd });
    bench.start('signals', ['/bin/grep', '-E', '^Sig(Blk|Ign)', '/proc/self/status']);
    bench.sh('session', 'ps -o sid= -p $$; echo $$');
    await Promise.all([bench.closed('place'), bench.closed('signals'), bench.closed('session')]);
    expect(bench.stored('place').toString()).toBe(`${cwd}\n/dev/null\n0\n1\n2\n`);
    expect(bench.stored('signals').toString()).toMatch(/^SigBlk:\s0+\nSigIgn:\s0+\n$/);
    expect(bench.stored('session').toString()).toMatch(/^\s*(\d+)\n\1\n$/);
  });

  it('a command is looked for in its own PATH', async () => {
    bench.start('own-path', ['tool', 'echo', 'found'], { env: { PATH: `${join(dir, 'cwd')}:/bin:/usr/bin` } });
    expect(await bench.closed('own-path')).toMatchObject({ exitCode: 0 });
  });
});
