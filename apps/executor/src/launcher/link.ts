/** The connection to the one executor that is listened to, and the order in which runs get its attention. */
import { type Socket } from 'node:net';
import { FrameWriter, type ToExecutor } from './protocol.js';
import { type Frame, type Run } from './run.js';

/** More in flight would only move the chunks from their spools into memory. */
const inFlightLimit = 1024 * 1024;

export class Link {
  private socket: Socket | undefined;
  private writer: FrameWriter | undefined;
  /** Have frames that the executor was too slow for. */
  private readonly waiting = new Set<Run>();

  get connected(): boolean {
    return this.socket !== undefined;
  }

  isFrom(socket: Socket): boolean {
    return this.socket === socket;
  }

  /** The newest executor is the right one: an older connection is a dead or fenced one. */
  take(socket: Socket, hello: ToExecutor): void {
    const older = this.socket;
    this.socket = socket;
    this.writer = new FrameWriter(socket);
    this.waiting.clear();
    if (older && older !== socket) older.destroy();
    socket.on('drain', () => this.isFrom(socket) && this.resume());
    this.writer.send(hello);
  }

  lose(socket: Socket): boolean {
    if (!this.isFrom(socket)) return false;
    this.socket = undefined;
    this.writer = undefined;
    this.waiting.clear();
    return true;
  }

  /** Sends what the run has to say, as far as the executor keeps up. */
  pump(run: Run): void {
    const { writer } = this;
    if (!writer) return;
    while (writer.backlog < inFlightLimit) {
      const frame = run.nextFrame();
      if (!frame) {
        this.waiting.delete(run);
        return;
      }
      writer.send(frame.header, frame.body);
    }
    this.waiting.add(run);
  }

  /** For frames that nobody misses. */
  sendIfIdle(frame: Frame): void {
    if (this.writer && this.writer.backlog < inFlightLimit) this.writer.send(frame.header, frame.body);
  }

  private resume(): void {
    for (const run of [...this.waiting]) {
      // To the end of the line, so that one gigabyte does not starve a hundred small runs.
      this.waiting.delete(run);
      this.pump(run);
    }
  }
}
