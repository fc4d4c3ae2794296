import { describe, expect, test } from '@jest/globals';
import { action, actionChange, secretsOf } from './action.js';
import { isSecret } from './secret.js';

const command = (more: object) => ({ kind: 'command', ...more });
const withEnv = (env: object) => command({ shell: 'true', env });
const issuesOf = (value: unknown) => action.safeParse(value).error?.issues ?? [];
const nul = 'a\u0000b';
/** Half of a pair: Postgres refuses the whole statement. */
const half = 'a\ud83d';

describe('good ones are kept as they are', () => {
  test.each([
    [{ kind: 'noop' }],
    [command({ command: ['df', '-P'] })],
    [command({ command: ['printf', '%s', '', 'zwei Wörter', '🐘', "'; rm -rf /"] })],
    [command({ shell: 'df -P | tail -1', cwd: '/srv/a b', env: { PATH: '/bin', _x9: '', LANG: 'C.UTF-8' } })],
    [withEnv({ ENVIRONMENT: 'prod', LDAP_HOST: 'ldap', GIT_AUTHOR_NAME: 'ann', ld_preload: 'x', NODE_OPTIONS_: 'x' })],
    [command({ shell: 'x'.repeat(131_072) })],
    [command({ command: Array<string>(4_096).fill('x') })],
  ])('%#', (value) => {
    expect(action.parse(value)).toEqual(value);
  });
});

describe('bad ones are refused where they are wrong', () => {
  test.each<[string, unknown, PropertyKey[]]>([
    ['nothing', undefined, []],
    ['no object', 'noop', []],
    ['no kind', {}, ['kind']],
    ['an unknown kind', { kind: 'teleport' }, ['kind']],
    ['an unknown field', { kind: 'noop', cwd: '/' }, []],
    ['an unknown field of a command', command({ shell: 'x', timeout: '1s' }), []],
    ['neither command nor shell', command({}), []],
    ['both command and shell', command({ command: ['x'], shell: 'x' }), []],
    ['an empty argv', command({ command: [] }), ['command']],
    ['an empty program', command({ command: ['', 'x'] }), ['command', 0]],
    ['too many arguments', command({ command: Array<string>(4_097).fill('x') }), ['command']],
    ['an argument that is no text', command({ command: ['x', 1] }), ['command', 1]],
    ['a line as argv', command({ command: 'df -P' }), ['command']],
    ['an empty line', command({ shell: '' }), ['shell']],
    ['a line too long', command({ shell: 'x'.repeat(131_073) }), ['shell']],
    ['an empty cwd', command({ shell: 'x', cwd: '' }), ['cwd']],
    ['NUL in an argument', command({ command: ['x', nul] }), ['command', 1]],
    ['NUL in a line', command({ shell: nul }), ['shell']],
    ['NUL in cwd', command({ shell: 'x', cwd: nul }), ['cwd']],
    ['NUL in a variable', withEnv({ A: nul }), ['env', 'A']],
    ['half a surrogate pair', command({ shell: half }), ['shell']],
    ['a variable that is no text', withEnv({ A: 1 }), ['env', 'A']],
  ])('%s', (_, value, path) => {
    expect(issuesOf(value)[0]?.path).toEqual(path);
  });
});

describe('the environment', () => {
  test.each(['', '1A', 'A-B', 'A=B', 'A B', 'Ä', 'A\n', 'A\u0000'])('a name that no shell can use: %j', (name) => {
    expect(issuesOf(withEnv({ [name]: 'x' }))[0]?.path).toEqual(['env', name]);
  });

  test.each([
    ...['LD_PRELOAD', 'LD_LIBRARY_PATH', 'LD_AUDIT', 'NODE_OPTIONS', 'BASH_ENV', 'ENV'],
    ...['PYTHONSTARTUP', 'GIT_SSH', 'GIT_SSH_COMMAND'],
  ])('a name that changes how programs start: %s', (name) => {
    expect(issuesOf(withEnv({ FINE: 'x', [name]: 'x' }))).toMatchObject([
      { path: ['env', name], message: 'may not be set' },
    ]);
  });

  test('64 KiB in total, names and separators included, in bytes', () => {
    expect(issuesOf(withEnv({ A: 'x'.repeat(65_533) }))).toEqual([]);
    expect(issuesOf(withEnv({ A: 'x'.repeat(65_534) }))).toMatchObject([{ path: ['env'] }]);
    expect(issuesOf(withEnv({ A: 'x'.repeat(40_000), B: 'x'.repeat(40_000) }))).toMatchObject([{ path: ['env'] }]);
    expect(issuesOf(withEnv({ A: 'ö'.repeat(33_000) }))).toMatchObject([{ path: ['env'] }]);
  });
});

describe('secrets', () => {
  const marked = withEnv({ A: { secret: 'x' }, B: 'plain', _: { secret: 'ü\n' } });
  const kept = withEnv({ A: { secret: true } });

  test('are marked, and only a revision may leave out which', () => {
    expect(action.parse(marked)).toEqual(marked);
    expect(actionChange.parse(marked)).toEqual(marked);
    expect(actionChange.parse(kept)).toEqual(kept);
    expect(issuesOf(kept)).toMatchObject([{ path: ['env', 'A'] }]);
  });

  test.each<[string, unknown]>([
    ['an empty one', { secret: '' }],
    ['false', { secret: false }],
    ['a number', { secret: 123_456 }],
    ['NUL in it', { secret: nul }],
    ['more than it', { secret: 'x', more: 1 }],
    ['a reference', { sealed: '01890000-0000-7000-8000-000000000000' }],
    ['nothing', null],
  ])('%s is refused where it stands, in a revision too', (_name, value) => {
    for (const shape of [action, actionChange]) {
      const [issue] = shape.safeParse(withEnv({ A: value })).error?.issues ?? [];
      expect(issue?.path.slice(0, 2)).toEqual(['env', 'A']);
      expect(JSON.stringify(issue)).not.toContain('123456');
    }
  });

  test('count like any value', () => {
    expect(issuesOf(withEnv({ A: { secret: 'x'.repeat(65_533) } }))).toEqual([]);
    expect(issuesOf(withEnv({ A: { secret: 'ö'.repeat(33_000) } }))).toMatchObject([{ path: ['env'] }]);
  });

  test('are what is sealed and what is named so', () => {
    const names = ['API_TOKEN', 'db_password', 'MY_SECRET_ID', 'MONKEY', 'CREDENTIALS'];
    expect(names.every((name) => isSecret(name, 'x'))).toBe(true);
    expect([isSecret('MODE', 'x'), isSecret('MODE', { sealed: 'a' })]).toEqual([false, true]);
    expect(secretsOf({ kind: 'command', shell: ':', env: { A: { sealed: 'a' }, KEY: 'x' } })).toEqual(['a']);
    expect([secretsOf({ kind: 'noop' }), secretsOf({ kind: 'command', shell: ':' })]).toEqual([[], []]);
  });
});
