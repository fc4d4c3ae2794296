/** Holds answers against the OpenAPI document of the very stack that gave them. */
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';

interface Operation {
  readonly responses: Record<string, { readonly content?: Record<string, { readonly schema: object }> }>;
}
interface Document {
  readonly paths: Record<string, Record<string, Operation>>;
  readonly components: { readonly schemas: Record<string, object> };
}
interface Received {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly body: unknown;
}

/** Pages, and what they load: described to nobody. */
const pages = /^\/docs(\/|$)/;
const documents = new Map<string, Promise<Description>>();

/** Throws unless the stack's own document has the route, the status, the content type and the shape of this answer. */
export async function checkAnswer(url: string, method: string, path: string, answer: Received): Promise<void> {
  const fetched = documents.get(url) ?? Description.fetch(url);
  documents.set(url, fetched);
  fetched.catch(() => documents.delete(url));
  (await fetched).check(method, new URL(`${url}${path}`).pathname, answer);
}

export class Description {
  private readonly ajv = new Ajv2020({ strict: true, allowUnionTypes: true, allErrors: true });
  private readonly validators = new Map<object, ValidateFunction>();
  private readonly templates: readonly (readonly [template: string, pattern: RegExp])[];

  constructor(private readonly document: Document) {
    addFormats.default(this.ajv);
    for (const [name, schema] of Object.entries(document.components.schemas)) this.ajv.addSchema(local(schema), name);
    this.templates = Object.keys(document.paths)
      .sort((a, b) => a.split('{').length - b.split('{').length)
      .map((template) => [template, patternOf(template)] as const);
  }

  static async fetch(url: string): Promise<Description> {
    const answer = await fetch(`${url}/api/v1/openapi.json`, { signal: AbortSignal.timeout(25_000) });
    return new Description((await answer.json()) as Document);
  }

  check(method: string, path: string, answer: Received): void {
    // A preflight is CORS's own.
    if (method === 'OPTIONS' || pages.test(path)) return;
    const template = isWellFormed(path) ? this.templates.find(([, pattern]) => pattern.test(path))?.[0] : undefined;
    const operation = template && this.document.paths[template]![method === 'HEAD' ? 'get' : method.toLowerCase()];
    const problem = operation ? this.problemOf(method, operation, answer) : problemOfUndescribed(answer);
    if (problem === null) return;
    const said = answer.text.slice(0, 500);
    throw new Error(`${method} ${template ?? path} answered ${answer.status}, but ${problem}: ${said}`);
  }

  private problemOf(method: string, { responses }: Operation, answer: Received): string | null {
    const { status, headers, text, body } = answer;
    const response = responses[String(status)];
    if (!response) return `only ${Object.keys(responses).join(', ')} are described`;
    if (method === 'HEAD') return null;
    const types = Object.keys(response.content ?? {});
    const type = headers.get('content-type')?.split(';', 1)[0];
    if (types.length === 0) return text === '' ? null : 'no body is described';
    if (type === undefined || !types.includes(type)) return `${type} is not among ${types.join(', ')}`;
    return /\bjson$/.test(type) ? this.mismatch(response.content![type]!.schema, body) : null;
  }

  private mismatch(schema: object, body: unknown): string | null {
    const validate = this.validators.get(schema) ?? this.ajv.compile(local(schema));
    this.validators.set(schema, validate);
    if (validate(body)) return null;
    const faults = (validate.errors ?? []).map(
      ({ instancePath, message, params }) => `${instancePath || '/'} ${message} ${JSON.stringify(params)}`,
    );
    return faults.slice(0, 5).join('; ');
  }
}

/** With the names of components as they are given to the validator. */
const local = (schema: object): object =>
  JSON.parse(JSON.stringify(schema).replaceAll('"#/components/schemas/', '"')) as object;

/** An address that nobody describes is one that nobody serves: it is refused, in JSON. */
function problemOfUndescribed({ status, headers }: Received): string | null {
  if (status < 400 || status >= 500) return 'the route is not described';
  return /\bjson\b/.test(headers.get('content-type') ?? '') ? null : 'the refusal is no JSON';
}

function patternOf(template: string): RegExp {
  const literal = template.replace(/\/$/, '').replaceAll(/[.*+?^$()|[\]\\]/g, '\\$&');
  return new RegExp(`^${literal.replaceAll(/\{\w+\}/g, '[^/]+')}/?$`);
}

function isWellFormed(path: string): boolean {
  try {
    decodeURIComponent(path);
    return true;
  } catch {
    return false;
  }
}
