import { z } from 'zod';
import { text } from '../text.js';

const variable = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'must be a variable name: letters, digits and _');

/** Variables that change how the loader, the shell or an interpreter starts: never taken from a definition. */
const refused = /^(LD_|GIT_SSH)|^(NODE_OPTIONS|BASH_ENV|ENV|PYTHONSTARTUP)$/;

const secret = z.strictObject({ secret: text(65_536, 1) });
const secretOrKept = z.strictObject({ secret: z.union([z.literal(true), text(65_536, 1)]) });

/** Variables as text alone. */
export const environment = environmentOf(text(65_536));

function environmentOf<V extends z.ZodType<string | { secret: string | true }>>(value: V) {
  return z.record(variable, value).superRefine((env, context) => {
    for (const name of Object.keys(env)) {
      if (refused.test(name)) context.addIssue({ code: 'custom', path: [name], message: 'may not be set' });
    }
    const size = Object.entries(env).reduce((sum, [name, each]) => sum + name.length + sizeOf(each) + 2, 0);
    if (size > 65_536) context.addIssue({ code: 'custom', message: 'must not exceed 64 KiB in total' });
  });
}

function sizeOf(value: unknown): number {
  const { secret: hidden = value } = Object(value) as { secret?: unknown };
  return Buffer.byteLength(String(hidden));
}

const commandWith = <E extends z.ZodType>(env: E) =>
  z
    .strictObject({
      kind: z.literal('command'),
      command: z.array(text(131_072)).min(1).max(4_096).optional(),
      shell: text(131_072, 1).optional(),
      cwd: text(4_096, 1).optional(),
      env: env.optional(),
    })
    .refine((action) => (action.command === undefined) !== (action.shell === undefined), {
      message: 'needs exactly one of command and shell',
    })
    .refine((action) => action.command === undefined || action.command[0] !== '', {
      path: ['command', 0],
      message: 'must not be empty',
    });

/** Runs a program with exact arguments (`command`), or a line through `/bin/sh -c` (`shell`). Exactly one of the two. */
export const commandAction = commandWith(environmentOf(z.union([text(65_536), secret])));

/** The same in a revision, where `{"secret": true}` is what was answered and means the secret that is stored. */
export const commandChange = commandWith(environmentOf(z.union([text(65_536), secretOrKept])));
