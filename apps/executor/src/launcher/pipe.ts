/** The reading end of a command's stdout or stderr. */
import { readSync, closeSync } from 'node:fs';
import { Socket } from 'node:net';

/** One for all pipes: libuv hands data over synchronously, and whoever wants to keep it copies it. */
const room = Buffer.allocUnsafeSlow(64 * 1024);
/** What a pipe can hold at most without privileges; whoever outlives the run must not keep us reading for ever. */
const drainLimit = 1024 * 1024;

export class Pipe {
  private socket: Socket | undefined;
  private held = false;
  /** Nobody writes to it any more. */
  ended = false;

  constructor(
    private readonly fd: number,
    private readonly onData: (data: Buffer) => void,
    private readonly onEnd: () => void,
  ) {}

  /**
   * Reads as data comes. Not called for a run that is over within milliseconds: the kernel keeps what it printed, one
   * `drain` takes it, and a socket for each pipe would cost more than the rest of such a run.
   */
  attach(): void {
    if (this.socket || this.ended) return;
    const callback = (size: number) => {
      this.onData(room.subarray(0, size));
      return !this.held;
    };
    this.socket = new Socket({ fd: this.fd, readable: true, writable: false, onread: { buffer: room, callback } });
    this.socket.on('error', () => this.close());
    this.socket.on('end', () => this.close());
    if (this.held) this.socket.pause();
  }

  /** While held nothing is read, so the command blocks as soon as the kernel's buffer is full. */
  hold(held: boolean): void {
    if (this.held === held) return;
    this.held = held;
    if (held) this.socket?.pause();
    else this.socket?.resume();
  }

  /** Everything that is in the pipe now, whether held or not. */
  drain(): void {
    for (let taken = 0; taken < drainLimit && !this.ended;) {
      let size: number;
      try {
        size = readSync(this.fd, room, 0, room.length, null);
      } catch {
        return; // EAGAIN: empty, but somebody still has the other end
      }
      if (size === 0) this.close();
      else this.onData(room.subarray(0, size));
      taken += size;
    }
  }

  close(): void {
    if (this.ended) return;
    this.ended = true;
    if (this.socket) this.socket.destroy();
    else closeSync(this.fd);
    this.onEnd();
  }
}
