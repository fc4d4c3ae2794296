import { type RawData, type WebSocket } from 'ws';
import { type Session } from '#bus';
import { may, newId } from '#domain';
import { fewHeld, mostHeld, type Group, type Line } from '../../live/line.js';
import { type Frame } from './frames.shapes.js';
import { type TaskWatcher } from './task-feed.js';

/** Frames beside output are few and small: who takes none of them is gone. */
const mostOfAll = 1_048_576;

/** One WebSocket: what it is told, what it says, and how much of it has not been taken. */
export class TaskSocket implements TaskWatcher, Line {
  readonly id = newId();
  readonly owner: string | null;
  /** It has answered since it was last looked at. */
  alive = true;
  gone = false;
  private drained: (() => void)[] = [];

  constructor(
    private readonly socket: WebSocket,
    readonly token: string,
    readonly session: Session,
    readonly group: Group,
  ) {
    const { id, role } = session.user;
    this.owner = may(role, 'any:write') ? null : id;
    socket.on('pong', () => (this.alive = true));
    socket.on('message', (data, binary) => this.heard(data, binary));
  }

  get line(): Line {
    return this;
  }

  tell(frame: Frame): void {
    this.send(JSON.stringify(frame));
  }

  send(text: string): void {
    if (this.socket.readyState !== this.socket.OPEN) return;
    if (this.socket.bufferedAmount > mostOfAll) return this.socket.terminate();
    this.socket.send(text, () => this.taken());
  }

  isFull(): boolean {
    return this.socket.bufferedAmount > mostHeld;
  }

  hasRoom(): boolean {
    return this.socket.bufferedAmount <= fewHeld;
  }

  onDrain(work: () => void): void {
    this.drained.push(work);
  }

  /** False when it has not answered since it was asked last. */
  ping(): boolean {
    const { alive } = this;
    this.alive = false;
    if (alive) this.socket.ping();
    else this.socket.terminate();
    return alive;
  }

  end(code: number, reason: string): void {
    // Or the other side's part of the farewell would not be heard.
    this.socket.resume();
    this.socket.close(code, reason);
  }

  private taken(): void {
    if (this.drained.length === 0) return;
    for (const work of this.drained.splice(0)) work();
  }

  private heard(data: RawData, binary: boolean): void {
    const timestamp = new Date().toISOString();
    const type = binary ? null : typeOf((data as Buffer).toString());
    if (type === 'ping') return this.tell({ type: 'pong', data: {}, timestamp });
    const [code, message] =
      type === null
        ? ['MALFORMED', 'A message is a JSON object with a type']
        : ['UNKNOWN_MESSAGE', `Unknown message: ${type.slice(0, 100)}`];
    this.tell({ type: 'error', data: { code, message }, timestamp });
  }
}

/** Null for what is no message at all. */
function typeOf(text: string): string | null {
  try {
    const { type } = Object(JSON.parse(text)) as { type?: unknown };
    return typeof type === 'string' ? type : null;
  } catch {
    return null;
  }
}
