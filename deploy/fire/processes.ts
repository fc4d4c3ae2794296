/** Which processes of a stack's runs are still there: by the launcher's tag, by the environment, by what they wrote down. */
import { readFileSync } from 'node:fs';
import { familyOf, snapshot } from '../../apps/executor/src/launcher/proc.js';
import { commandLine } from '../local/processes.js';
import { type Stack } from './stack.js';

export interface Found {
  readonly pid: number;
  readonly run: string | null;
  readonly attempt: number | null;
  readonly command: string;
}

/** All processes that any launcher of this stack has started, whatever they did since. */
export function processesOf(stack: Stack): Found[] {
  stack.noteFamilies();
  const found: Found[] = [];
  for (const { pid, tag } of snapshot()) {
    const environment = environmentOf(pid);
    const run = environment.get('RUNLEDGER_RUN_ID') ?? null;
    const ours = environment.get('FIRE') === stack.scene.dir;
    if (!ours && !(tag !== undefined && stack.families.has(familyOf(tag)))) continue;
    const attempt = environment.get('RUNLEDGER_ATTEMPT');
    found.push({ pid, run, attempt: attempt ? Number(attempt) : null, command: commandLine(pid).slice(0, 80) });
  }
  return found;
}

function environmentOf(pid: number): Map<string, string> {
  try {
    const entries = readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0');
    return new Map(
      entries.map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)] as const),
    );
  } catch {
    return new Map();
  }
}
