/** The ways in which a call cannot be carried; each is a 503, said as early as it is known. */
import { Refusal } from '#domain';
import { type AnySubject } from './subject.js';

export function busDown(): Refusal {
  return new Refusal('unavailable', 'BUS_DOWN', 'The message bus is not connected');
}

export function isBusDown(error: unknown): boolean {
  return error instanceof Refusal && error.code === 'BUS_DOWN';
}

export function nobodyListening({ owner }: AnySubject): Refusal {
  return new Refusal('unavailable', 'NOBODY_LISTENING', `The ${owner} service is not running`);
}

export function noAnswerInTime({ owner }: AnySubject): Refusal {
  return new Refusal('unavailable', 'BUS_TIMEOUT', `The ${owner} service did not answer in time`);
}

export function payloadLost(): Refusal {
  return new Refusal('unavailable', 'BUS_PAYLOAD', 'A large message could not be carried');
}
