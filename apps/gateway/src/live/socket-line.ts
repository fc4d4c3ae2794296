import { type Namespace, type Socket } from 'socket.io';
import { fewHeld, mostHeld, type Group, type Line } from './line.js';

/** Counting more of them would cost more than they are worth. */
const mostPackets = 128;
const groups = new WeakMap<Namespace, Group>();

/** A socket.io socket as a line; what it holds is in engine.io's queue and in the WebSocket's. */
export const lineOf = (socket: Socket): Line => ({
  id: socket.id,
  group: groupOf(socket.nsp),
  isFull: () => backlogOf(socket) > mostHeld,
  hasRoom: () => backlogOf(socket) <= fewHeld,
  // A transport that is exchanged meanwhile says nothing.
  onDrain: (work) => void socket.conn.transport.once('drain', work),
});

function groupOf(namespace: Namespace): Group {
  const known = groups.get(namespace);
  if (known) return known;
  const group: Group = {
    tell: (ids, piece) => void namespace.to(ids).emit('output', piece),
    show: (ids, piece) => void namespace.volatile.to(ids).emit('output', piece),
  };
  groups.set(namespace, group);
  return group;
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
