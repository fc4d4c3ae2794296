import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import path from 'node:path';
import { Controller } from '@nestjs/common';
import { Answers, subjects, type Request } from '#bus';
import { searchPath } from './actions/command.js';

/** Says what commands would find here. */
@Controller()
export class ProgramController {
  @Answers(subjects.hasProgram)
  async has({ data: { name } }: Request<{ name: string }>): Promise<boolean> {
    for (const folder of searchPath().split(path.delimiter).filter(Boolean)) {
      if (await isProgram(path.join(folder, name))) return true;
    }
    return false;
  }
}

async function isProgram(file: string): Promise<boolean> {
  try {
    await access(file, constants.X_OK);
    return (await stat(file)).isFile();
  } catch {
    return false;
  }
}
