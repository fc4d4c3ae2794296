/** The built command line as a child process, as a user has it: a home of its own, its output in pipes. */
import { spawn, type ChildProcess } from 'node:child_process';
import path from 'node:path';

export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface Going {
  child: ChildProcess;
  /** So far. */
  stdout: () => string;
  stderr: () => string;
  ended: Promise<Ended & { bytes: Buffer }>;
}

const program = path.resolve(import.meta.dirname, '../runledger.mjs');

export class Cli {
  constructor(
    private readonly home: string,
    private readonly env: NodeJS.ProcessEnv,
  ) {}

  with(env: NodeJS.ProcessEnv): Cli {
    return new Cli(this.home, { ...this.env, ...env });
  }

  get credentials(): string {
    return path.join(this.home, 'runledger', 'credentials.json');
  }

  start(args: string[], input = ''): Going {
    const env = { PATH: process.env.PATH, XDG_CONFIG_HOME: this.home, ...this.env };
    const child = spawn(process.execPath, [program, ...args], { env });
    const said: Record<'stdout' | 'stderr', Buffer[]> = { stdout: [], stderr: [] };
    child.stdout.on('data', (data: Buffer) => said.stdout.push(data));
    child.stderr.on('data', (data: Buffer) => said.stderr.push(data));
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
    const [stdout, stderr] = [() => Buffer.concat(said.stdout).toString(), () => Buffer.concat(said.stderr).toString()];
    const ended = new Promise<Ended & { bytes: Buffer }>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (code) =>
        resolve({ code, stdout: stdout(), stderr: stderr(), bytes: Buffer.concat(said.stdout) }),
      );
    });
    return { child, stdout, stderr, ended };
  }

  /** To its end. */
  async run(...args: string[]): Promise<Ended> {
    const { code, stdout, stderr } = await this.start(args).ended;
    return { code, stdout, stderr };
  }

  /** The one JSON value that it answers. */
  async json<T>(...args: string[]): Promise<T> {
    const { code, stdout, stderr } = await this.run(...args, '--json');
    if (code !== 0) throw new Error(`runledger ${args.join(' ')} ended with ${code}: ${stderr}`);
    return JSON.parse(stdout) as T;
  }
}
