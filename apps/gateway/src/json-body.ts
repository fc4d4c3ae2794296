import { type FastifyInstance } from 'fastify';
import { Refusal } from '#domain';

/** Levels of nesting that are read. */
export const deepest = 64;

const malformed = (message: string) => new Refusal('malformed', 'MALFORMED_JSON', message);

/** Only JSON and forms are read at all; text that Postgres could not hold is refused before anything looks at it. */
export function readBodies(fastify: FastifyInstance): void {
  fastify.removeAllContentTypeParsers();
  fastify.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, text, done) => {
    try {
      done(null, parseJson(String(text)));
    } catch (error) {
      done(error as Error, undefined);
    }
  });
  fastify.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, text, done) => {
    const form = Object.fromEntries(new URLSearchParams(String(text)));
    try {
      refuseUnstorable(form);
      done(null, form);
    } catch (error) {
      done(error as Error, undefined);
    }
  });
}

function parseJson(text: string): unknown {
  if (text.trim() === '') return undefined;
  // Each level takes two characters at least.
  if (text.length > 2 * deepest && depthOf(text) > deepest)
    throw malformed(`The body is nested deeper than ${deepest} levels`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw malformed('The body is not valid JSON');
  }
  if (/\\u(0000|d[89a-f])/i.test(text)) refuseUnstorable(value);
  return value;
}

/** NUL and half a surrogate pair can be written in JSON and stand in no text column. */
function refuseUnstorable(value: unknown): void {
  if (typeof value === 'string') {
    if (value.includes('\u0000')) throw malformed('Text must not contain NUL characters');
    if (!value.isWellFormed()) throw malformed('Text must not contain half a surrogate pair');
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, inner] of Object.entries(value)) {
      refuseUnstorable(key);
      refuseUnstorable(inner);
    }
  }
}

/** How deep brackets nest outside of strings: counted on the text, so that no parser has to go down there. */
export function depthOf(text: string): number {
  let depth = 0;
  let most = 0;
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const character = text.charCodeAt(i);
    if (quoted) {
      if (character === 0x5c) i++;
      else if (character === 0x22) quoted = false;
    } else if (character === 0x22) quoted = true;
    else if (character === 0x7b || character === 0x5b) most = Math.max(most, ++depth);
    else if (character === 0x7d || character === 0x5d) depth--;
  }
  return most;
}
