import { z } from 'zod';
import { text } from '../text.js';

const variable = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'must be a variable name: letters, digits and _');

/** Variables that change how the loader, the shell or an interpreter starts: never taken from a definition. */
const refused = /^(LD_|GIT_SSH)|^(NODE_OPTIONS|BASH_ENV|ENV|PYTHONSTARTUP)$/;

export const environment = z.record(variable, text(65_536)).superRefine((env, context) => {
  for (const name of Object.keys(env)) {
    if (refused.test(name)) context.addIssue({ code: 'custom', path: [name], message: 'may not be set' });
  }
  const size = Object.entries(env).reduce(
    (sum, [name, value]) => sum + name.length + Buffer.byteLength(String(value)) + 2,
    0,
  );
  if (size > 65_536) context.addIssue({ code: 'custom', message: 'must not exceed 64 KiB in total' });
});

/** Runs a program with exact arguments (`command`), or a line through `/bin/sh -c` (`shell`). Exactly one of the two. */
export const commandAction = z
  .strictObject({
    kind: z.literal('command'),
    command: z.array(text(131_072)).min(1).max(4_096).optional(),
    shell: text(131_072, 1).optional(),
    cwd: text(4_096, 1).optional(),
    env: environment.optional(),
  })
  .refine((action) => (action.command === undefined) !== (action.shell === undefined), {
    message: 'needs exactly one of command and shell',
  })
  .refine((action) => action.command === undefined || action.command[0] !== '', {
    path: ['command', 0],
    message: 'must not be empty',
  });
