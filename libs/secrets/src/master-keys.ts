/** The file of master keys: one a line, base64 of 32 bytes, the first is the one that new secrets are wrapped with. */
import { createHash, randomBytes } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';

export interface MasterKey {
  id: string;
  key: Buffer;
}

/** Others' rights to read or change it. */
const openTo = 0o027;
const lookEvery = 1_000;

/** Says what is wrong with the file and what to do about it. */
export class MasterKeyError extends Error {}

/** The keys of one file, read again when it has been changed: a rotation needs no restart. */
export class MasterKeys {
  private keys: MasterKey[] = [];
  private seen = '';
  private lookedAt = -Infinity;

  constructor(private readonly file: string) {
    this.read();
  }

  get current(): MasterKey {
    if (performance.now() - this.lookedAt > lookEvery) this.look();
    return this.keys[0]!;
  }

  find(id: string): MasterKey | undefined {
    const known = this.keys.find((key) => key.id === id);
    if (known) return known;
    this.look();
    return this.keys.find((key) => key.id === id);
  }

  /** Keys in hand stay good, whatever becomes of the file while we run. */
  private look(): void {
    this.lookedAt = performance.now();
    try {
      this.read();
    } catch {
      return;
    }
  }

  private read(): void {
    const { mtimeMs, ino, size } = statSync(this.file);
    const seen = `${ino} ${mtimeMs} ${size}`;
    if (seen === this.seen) return;
    this.keys = readKeys(this.file);
    this.seen = seen;
  }
}

/** Every key of the file, newest first. */
export function readKeys(file: string): MasterKey[] {
  if ((statSync(file).mode & openTo) !== 0) {
    throw new MasterKeyError(`The master key ${file} is open to other users of this machine: chmod 600 ${file}`);
  }
  const lines = readFileSync(file, 'utf8').split('\n');
  const keys = lines.map((line) => line.trim()).filter((line) => line !== '' && !line.startsWith('#'));
  if (keys.length === 0 || !keys.every((line) => /^[A-Za-z0-9+/]{43}=$/.test(line))) {
    throw new MasterKeyError(`${file} is no file of master keys: one a line, each base64 of 32 bytes`);
  }
  return keys.map((line) => masterKey(Buffer.from(line, 'base64')));
}

/** Makes the file with a new key, unless somebody else was first. */
export function createKeys(file: string): void {
  mkdirSync(path.dirname(file), { recursive: true });
  const draft = write(file, [newKey()]);
  try {
    linkSync(draft, file);
  } catch (error) {
    if ((error as { code?: string }).code !== 'EEXIST') throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

/** Exchanges the file's keys at once: nobody reads half of it. */
export function replaceKeys(file: string, keys: MasterKey[]): void {
  renameSync(write(file, keys), file);
}

export const newKey = (): MasterKey => masterKey(randomBytes(32));

/** Its name says which key it is, and nothing about it. */
function masterKey(key: Buffer): MasterKey {
  return { id: createHash('sha256').update('runledger master key\n').update(key).digest('hex').slice(0, 16), key };
}

function write(file: string, keys: MasterKey[]): string {
  const draft = `${file}.${randomBytes(6).toString('hex')}`;
  const fd = openSync(draft, 'wx', 0o600);
  writeSync(fd, keys.map(({ key }) => `${key.toString('base64')}\n`).join(''));
  fsyncSync(fd);
  closeSync(fd);
  return draft;
}
