import { Api, jobsPrefix } from '../api.js';
import { command } from '../command.js';
import { credentialsFile, keepToken, serverUrl } from '../credentials.js';
import { misuse } from '../failure.js';
import { askPassword, readStdin } from '../input.js';
import { printJson, say } from '../print.js';

export const login = command({
  name: 'login',
  usage: '--username NAME [--password-stdin]',
  summary: 'Signs in and keeps the token. Without a password it asks for one, and shows nothing of it.',
  options: {
    username: { type: 'string', short: 'u', value: 'NAME', help: 'name or e-mail' },
    password: { type: 'string', value: 'PASSWORD', help: 'the password; other users of this machine may see it' },
    'password-stdin': { type: 'boolean', help: 'read the password from standard input' },
  },
  run: async ({ options }) => {
    const { username } = options;
    if (!username) throw misuse('Who are you? Say it with --username NAME.');
    const url = serverUrl(options.url);
    const password = options.password ?? (await passwordFor(username, url, options['password-stdin'] ?? false));
    const form = new URLSearchParams({ username, password });
    const { answer } = await new Api(url, undefined).post<{ access_token: string }>(`${jobsPrefix}/auth/token`, form);
    keepToken(url, answer.access_token);
    if (options.json) await printJson({ url, username, credentials: credentialsFile() });
    else say(`Signed in to ${url} as ${username}. The token is in ${credentialsFile()}.`);
    return 0;
  },
});

async function passwordFor(username: string, url: string, fromStdin: boolean): Promise<string> {
  if (!fromStdin && process.stdin.isTTY) return askPassword(`Password of ${username} at ${url}: `);
  if (!fromStdin) throw misuse('There is no terminal to ask for the password on: use --password-stdin.');
  return (await readStdin()).replace(/\r?\n$/, '');
}
