import { type FastifyInstance } from 'fastify';
import { Refusal } from '#domain';

const deepest = 64;

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
    if (holdsNul(form)) done(malformed('Text must not contain NUL characters'), undefined);
    else done(null, form);
  });
}

function parseJson(text: string): unknown {
  if (text.trim() === '') return undefined;
  if (depthOf(text) > deepest) throw malformed(`The body is nested deeper than ${deepest} levels`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw malformed('The body is not valid JSON');
  }
  if (text.includes('\\u0000') && holdsNul(value)) throw malformed('Text must not contain NUL characters');
  return value;
}

function holdsNul(value: unknown): boolean {
  if (typeof value === 'string') return value.includes('\u0000');
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(value).some(([key, inner]) => key.includes('\u0000') || holdsNul(inner));
}

/** How deep brackets nest outside of strings: counted on the text, so that no parser has to go down there. */
function depthOf(text: string): number {
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
