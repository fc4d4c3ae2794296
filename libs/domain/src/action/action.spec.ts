import { describe, expect, test } from '@jest/globals';
import { action } from './action.js';

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
