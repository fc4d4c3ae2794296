import { Injectable } from '@nestjs/common';
import { type FastifyRequest } from 'fastify';
import { bells, subjects, type Bus, type CallMeta, type Seen, type Session, type Subject } from '#bus';
import {
  derivedId,
  may,
  newId,
  Refusal,
  type Action,
  type ActionChange,
  type GivenAction,
  type GivenChange,
  type Right,
  type Sealed,
  type SealedSecret,
} from '#domain';
import { type Secrets } from '#secrets';
import { Context } from '#service';

declare module 'fastify' {
  interface FastifyRequest {
    /** What the answer says of the ledger, in `X-Ledger-Position`. */
    ledgerPosition?: string;
  }
}

const remembered = 10_000;

/** How a surface speaks to the services on behalf of whoever asks; a reader sees what he himself has written. */
@Injectable()
export class Caller {
  private readonly bus: Bus;
  private readonly secrets: Secrets;
  /** The newest position that a user's own orders came to. */
  private readonly written = new Map<string, string>();
  private newest = '0';

  constructor(context: Context) {
    this.bus = context.bus;
    this.secrets = context.secrets;
    this.bus.listen(bells.flushed, ({ last }) => {
      this.newest = later(this.newest, last)!;
    });
  }

  /** The newest position heard of; asked for once while none has been heard of. */
  async head(): Promise<string> {
    if (this.newest !== '0') return this.newest;
    const asked = { after: '999999999999999999', limit: 1 };
    const found = await this.bus
      .send(subjects.listEvents, asked, { actor: 'system', correlationId: newId() })
      .catch(() => null);
    if (found && this.newest === '0') this.newest = found.head;
    return this.newest;
  }

  /** An action as it may travel and be stored, and its secrets beside it. */
  seal(action: GivenAction): { action: Action; secrets: SealedSecret[] } {
    return this.secrets.seal(action);
  }

  /** The same for a revision, which may keep secrets. */
  sealChange(action: GivenChange): { action: ActionChange; secrets: SealedSecret[] } {
    return this.secrets.seal(action);
  }

  /** A secret that stands by itself, under the name of what it is for. */
  sealOne(name: string, value: string): SealedSecret {
    return this.secrets.sealOne(name, value);
  }

  async openOne(name: string, sealed: Sealed): Promise<string> {
    return (await this.secrets.open({ [name]: sealed })).env[name]!;
  }

  async send<Q, A>(request: FastifyRequest, subject: Subject<Q, A>, data: NoInfer<Q>): Promise<A> {
    const answer = await this.bus.send(subject, data, this.metaOf(request));
    const { position } = (answer ?? {}) as { position?: string };
    if (position !== undefined) this.note(request, position);
    return answer;
  }

  /** The newest position that this gateway has heard of: as `after`, an answer holds whatever a socket has told of. */
  get heard(): string {
    return this.newest;
  }

  /** Asks a read model, at least as new as the asker's own last order or `after`. */
  async see<Q extends { after?: string }, T>(
    request: FastifyRequest,
    subject: Subject<Q, Seen<T>>,
    data: NoInfer<Q>,
  ): Promise<T> {
    const own = this.written.get(request.session?.user.id ?? '');
    const after = later(data.after, own);
    const { value, at } = await this.bus.send(
      subject,
      after === undefined ? data : { ...data, after },
      this.metaOf(request),
    );
    request.ledgerPosition = at;
    return value;
  }

  /**
   * Asks for one thing. Where a view does not have it that had not come as far as what was heard of the ledger, it is asked
   * again when it has: whatever anybody was told of is there for everybody.
   */
  async find<Q extends { after?: string }, T>(
    request: FastifyRequest,
    subject: Subject<Q, Seen<T | null>>,
    data: NoInfer<Q>,
  ): Promise<T | null> {
    const { newest } = this;
    const isBehind = () => BigInt(request.ledgerPosition ?? 0) < BigInt(newest);
    const found = await this.see(request, subject, data);
    if (found !== null || !isBehind()) return found;
    const again = await this.see(request, subject, { ...data, after: newest });
    if (again !== null || !isBehind()) return again;
    throw new Refusal('unavailable', 'VIEW_BEHIND', 'What was written last cannot be shown yet');
  }

  private metaOf(request: FastifyRequest): CallMeta {
    const actor = request.session?.user.id ?? 'anonymous';
    const key = request.method === 'POST' ? idempotencyKey(request) : undefined;
    const meta = { actor, correlationId: request.id };
    return key ? { ...meta, idempotency: { key, hash: this.hashOf(request) } } : meta;
  }

  /** What the key stands for: the same order, to the letter of its parsed body, which may hold secrets. */
  private hashOf({ method, url, body }: FastifyRequest): string {
    return this.secrets.digest(`${method} ${url} ${JSON.stringify(body ?? null)}`);
  }

  private note(request: FastifyRequest, position: string): void {
    request.ledgerPosition = position;
    this.newest = later(this.newest, position)!;
    const user = request.session?.user.id;
    if (!user || position === '0') return;
    if (this.written.size > remembered) this.written.clear();
    this.written.set(user, later(this.written.get(user), position)!);
  }
}

function later(a: string | undefined, b: string | undefined): string | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return BigInt(a) > BigInt(b) ? a : b;
}

export function sessionOf(request: FastifyRequest): Session {
  if (!request.session) throw new Refusal('unauthenticated', 'UNAUTHENTICATED', 'Unauthorized');
  return request.session;
}

export const hasRight = (request: FastifyRequest, right: Right): boolean => may(sessionOf(request).user.role, right);

/** The owner to whom a list is cut down: nobody in particular for whoever may see everything. */
export const ownerFilter = (request: FastifyRequest): { owner?: string } =>
  hasRight(request, 'any:read') ? {} : { owner: sessionOf(request).user.id };

export const maySee = (request: FastifyRequest, { owner }: { owner: string }): boolean =>
  hasRight(request, 'any:read') || owner === sessionOf(request).user.id;

/** Where a document shows everybody his own only, and admins all. */
export const ownOnly = (request: FastifyRequest): { owner?: string } =>
  hasRight(request, 'any:write') ? {} : { owner: sessionOf(request).user.id };

/** The id of what a POST makes: a repeat with the same `Idempotency-Key` means the same thing. */
export function idFor(request: FastifyRequest, noun: string): string {
  const key = idempotencyKey(request);
  return key ? derivedId(noun, sessionOf(request).user.id, key) : newId();
}

function idempotencyKey({ headers }: FastifyRequest): string | undefined {
  const key = headers['idempotency-key'];
  if (key === undefined) return undefined;
  if (typeof key === 'string' && /^[\x21-\x7e]{1,255}$/.test(key)) return key;
  throw new Refusal('malformed', 'BAD_IDEMPOTENCY_KEY', 'Idempotency-Key: 1 to 255 visible characters');
}
