/** What a server's "no", or its silence, means to whoever typed the command. */
import { Failure } from './failure.js';

const mostIssues = 5;
const passing = new Set([429, 502, 503, 504]);

interface Issue {
  path?: string;
  loc?: (string | number)[];
  message?: string;
  msg?: string;
}
type Body = { detail?: string | Issue[]; error?: string; errors?: Issue[] } | null;

/** The server answered, and not with what was asked for. */
export function refused({ status, headers }: Response, text: string, url: string): Failure {
  const said = detailOf(text);
  if (said === null) {
    return new Failure(`${url} answers ${status}, and not as Runledger does: check --url.`, 1, passing.has(status));
  }
  return new Failure(advice(status, said, url, headers.get('retry-after')), 1, passing.has(status));
}

function advice(status: number, said: string, url: string, wait: string | null): string {
  switch (status) {
    case 401:
      return unauthenticated(said, url);
    case 403:
      return `Not allowed: ${said}.`;
    case 404:
      return `${said}: "runledger list" and "runledger process list" show what there is.`;
    case 422:
      return `The server refuses this input: ${said}.`;
    case 429:
      return `${said}: try again in ${wait ?? '60'} s.`;
    case 503:
      return `Runledger is not ready (${said}): try again in ${wait ?? '1'} s.`;
    default:
      return `${said}.`;
  }
}

function unauthenticated(said: string, url: string): string {
  if (said === 'Invalid credentials') return `${url} knows nobody with this name and password.`;
  if (process.env.RUNLEDGER_TOKEN) return `${url} does not take the token in RUNLEDGER_TOKEN: set a new one.`;
  return `You are not signed in to ${url}: run "runledger login --url ${url}".`;
}

/** Each surface has its own body; whatever it is, its words and the places that are wrong. */
function detailOf(text: string): string | null {
  const body = parsed(text);
  const issues = Array.isArray(body?.detail) ? body.detail : (body?.errors ?? []);
  if (issues.length > 0) return placed(issues);
  const said = typeof body?.detail === 'string' ? body.detail : body?.error;
  return typeof said === 'string' ? said.replace(/\.$/, '') : null;
}

function placed(issues: Issue[]): string {
  const words = issues.slice(0, mostIssues).map(({ path, loc, message, msg }) => {
    const place = path ?? (loc ?? []).slice(1).join('.');
    return `${place}${place && ': '}${message ?? msg}`;
  });
  const more = issues.length - words.length;
  return words.join('; ') + (more > 0 ? `; and ${more} more` : '');
}

function parsed(text: string): Body {
  try {
    const value = JSON.parse(text) as Body;
    return typeof value === 'object' ? value : null;
  } catch {
    return null;
  }
}

/** Nobody answered at all. */
export function unreachable(error: Error, url: string): Failure {
  if (error.name === 'TimeoutError') return new Failure(`${url} does not answer in time: try again.`, 1, true);
  const cause = (error.cause ?? error) as NodeJS.ErrnoException;
  if (cause.code === 'ECONNREFUSED') {
    return new Failure(`Nothing listens at ${url}: start Runledger there, or name its address with --url.`, 1, true);
  }
  const what = cause.message || cause.code || error.message;
  return new Failure(`${url} cannot be reached (${what}): check the address (--url or RUNLEDGER_URL).`, 1, true);
}
