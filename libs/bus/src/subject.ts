/** What a message is about: its name on the wire, who may send it, who receives it, and the types of both sides. */
export type ServiceName = 'gateway' | 'auth' | 'scheduler' | 'executor' | 'history';

export const serviceNames: readonly ServiceName[] = ['gateway', 'auth', 'scheduler', 'executor', 'history'];

export interface CallMeta {
  actor: string;
  correlationId: string;
  causationId?: string;
  idempotency?: { key: string; hash: string };
}

/** The one parameter of every handler. */
export interface Request<Q> {
  data: Q;
  meta: CallMeta;
}

type CommandName = `cmd.${string}.${string}`;
type QueryName = `qry.${string}.${string}`;
/** A name ending in `.*` belongs to a bell that is rung with a suffix: `out.*` and a run's id. */
type BellName = `evt.${string}` | `${string}.*`;

export interface Subject<Q, A> {
  readonly kind: 'command' | 'query';
  readonly name: string;
  readonly owner: ServiceName;
  readonly callers: readonly ServiceName[];
  readonly timeoutMs?: number;
  /** Types only, never a value. */
  readonly carries?: (question: Q) => A;
}

export interface Bell<T> {
  readonly kind: 'bell';
  readonly name: string;
  readonly ringers: readonly ServiceName[];
  readonly listeners: readonly ServiceName[];
  /** Types only, never a value. */
  readonly carries?: (data: T) => T;
}

/** What permissions need to know, whatever the types are. */
export type AnySubject = Omit<Subject<never, unknown>, 'carries'>;
export type AnyBell = Omit<Bell<never>, 'carries'>;

export interface SubjectSettings {
  timeoutMs?: number;
}

type Services = readonly ServiceName[];

export function command<Q, A>(
  name: CommandName,
  owner: ServiceName,
  callers: Services,
  settings: SubjectSettings = {},
) {
  return subject<Q, A>('command', name, owner, callers, settings);
}

export function query<Q, A>(name: QueryName, owner: ServiceName, callers: Services, settings: SubjectSettings = {}) {
  return subject<Q, A>('query', name, owner, callers, settings);
}

export function bell<T>(name: BellName, ringers: Services, listeners: Services): Bell<T> {
  return Object.freeze({
    kind: 'bell',
    name: plain(name, true),
    ringers: Object.freeze([...ringers]),
    listeners: Object.freeze([...listeners]),
  });
}

/** Where a bell is heard; without a suffix, a suffixed bell is heard for every suffix. */
export function heardAt({ name }: AnyBell, suffix?: string): string {
  return suffix === undefined ? name : suffixed(name, suffix);
}

export function rungAt({ name }: AnyBell, suffix?: string): string {
  if (suffix !== undefined) return suffixed(name, suffix);
  if (name.endsWith('.*')) throw new Error(`The bell ${name} is rung with a suffix`);
  return name;
}

function subject<Q, A>(
  kind: 'command' | 'query',
  name: string,
  owner: ServiceName,
  callers: Services,
  settings: SubjectSettings,
): Subject<Q, A> {
  return Object.freeze({ kind, name: plain(name, false), owner, callers: Object.freeze([...callers]), ...settings });
}

function plain(name: string, mayEndInStar: boolean): string {
  const tokens = (mayEndInStar ? name.replace(/\.\*$/, '') : name).split('.');
  if (tokens.every((token) => /^[A-Za-z0-9_-]+$/.test(token))) return name;
  throw new Error(`"${name}" is no subject`);
}

/** A suffix comes from outside: a wildcard in it would open everybody's messages. */
function suffixed(name: string, suffix: string): string {
  if (!name.endsWith('.*')) throw new Error(`The bell ${name} takes no suffix`);
  if (!/^[A-Za-z0-9_-]{1,128}$/.test(suffix)) throw new Error(`A suffix of ${name} is one plain token`);
  return name.slice(0, -1) + suffix;
}
