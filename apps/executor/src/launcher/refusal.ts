import { statSync } from 'node:fs';
import { type RefusalCode, type StartOrder } from './protocol.js';

/** posix_spawn says only one errno for a missing directory and a missing command. */
export function refusal(order: StartOrder, errno: string): { code: RefusalCode; errno: string; text: string } {
  const command = JSON.stringify(order.argv[0] ?? '');
  const answer = (code: RefusalCode, text: string) => ({ code, errno, text: `${text} (${errno})` });
  if (order.cwd !== undefined && !isDirectory(order.cwd)) {
    return answer(
      'cwd_missing',
      `The working directory ${JSON.stringify(order.cwd)} is not there or cannot be entered`,
    );
  }
  switch (errno) {
    case 'ENOENT':
    case 'ENOTDIR':
      return answer('command_not_found', `The command ${command}, or its interpreter, was not found`);
    case 'EACCES':
    case 'EPERM':
    case 'ENOEXEC':
    case 'EISDIR':
      return answer('command_not_executable', `The command ${command} cannot be executed`);
    case 'E2BIG':
      return answer('spawn_failed', 'The arguments and the environment together are too long');
    case 'EINVAL':
      return answer('spawn_failed', 'The command is empty, or an argument or variable holds a NUL character');
    default:
      return answer('spawn_failed', `The command ${command} could not be started`);
  }
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}
