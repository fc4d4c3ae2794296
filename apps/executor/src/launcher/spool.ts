/** A file for what does not fit into memory. It has no name, so it is gone with the launcher, however that dies. */
import { closeSync, ftruncateSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';

let count = 0;

export class Spool {
  private fd: number | undefined;

  constructor(private readonly dir: string) {}

  write(data: Buffer, position: number): void {
    const fd = (this.fd ??= this.open());
    for (let done = 0; done < data.length;) done += writeSync(fd, data, done, data.length - done, position + done);
  }

  read(size: number, position: number): Buffer {
    const data = Buffer.allocUnsafe(size);
    for (let done = 0; done < size;) {
      const got = this.fd === undefined ? 0 : readSync(this.fd, data, done, size - done, position + done);
      if (got === 0)
        throw Object.assign(new Error('The spool is shorter than what was written to it'), { code: 'EIO' });
      done += got;
    }
    return data;
  }

  empty(): void {
    if (this.fd !== undefined) ftruncateSync(this.fd, 0);
  }

  close(): void {
    if (this.fd !== undefined) closeSync(this.fd);
    this.fd = undefined;
  }

  private open(): number {
    const path = join(this.dir, `${process.pid}-${++count}`);
    const fd = openSync(path, 'wx+', 0o600);
    unlinkSync(path);
    return fd;
  }
}
