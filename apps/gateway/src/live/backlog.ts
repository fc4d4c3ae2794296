/** What a socket has not taken yet, in engine.io's queue and in the WebSocket's. */
import { type Socket } from 'socket.io';

/** Fifty slow watchers may hold this each; what is sent to many at once is held once for all. */
const most = 96 * 1024;
const few = 48 * 1024;
/** Counting more of them would cost more than they are worth. */
const mostPackets = 128;

export const isFull = (socket: Socket): boolean => backlogOf(socket) > most;
export const hasRoom = (socket: Socket): boolean => backlogOf(socket) <= few;

/** Once it has taken what it was given last. A transport that is exchanged meanwhile says nothing: look now and then. */
export function onDrain({ conn }: Socket, work: () => void): void {
  conn.transport.once('drain', work);
}

function backlogOf({ conn }: Socket): number {
  const { writeBuffer, transport } = conn as unknown as {
    writeBuffer: { data?: unknown }[];
    transport: { socket?: { bufferedAmount?: number } };
  };
  let sum = transport.socket?.bufferedAmount ?? 0;
  if (writeBuffer.length > mostPackets) return Infinity;
  for (const { data } of writeBuffer) if (typeof data === 'string') sum += data.length;
  return sum;
}
