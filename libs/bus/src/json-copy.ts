/**
 * What `JSON.parse(JSON.stringify(value))` would give, without the text: what one service does to its object afterwards is none of
 * the other's business, and nothing passes within one process that would not pass between two.
 * Errors: a `TypeError` for a `bigint`, a `RangeError` for a circle.
 */
export function jsonCopy(value: unknown): unknown {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value;
    case 'number':
      // Adding nothing makes of a negative zero the one that JSON knows.
      return Number.isFinite(value) ? value + 0 : null;
    case 'object':
      return value === null ? null : copyOfObject(value as Copied);
    case 'bigint':
      throw new TypeError('A BigInt cannot travel as JSON');
    default:
      return undefined;
  }
}

interface Copied {
  [key: string]: unknown;
  toJSON?: unknown;
}

function copyOfObject(value: Copied): unknown {
  if (typeof value.toJSON === 'function') return jsonCopy((value as { toJSON: () => unknown }).toJSON());
  if (Array.isArray(value)) return copyOfArray(value);
  if (isBox(value)) return jsonCopy(value.valueOf());
  const copy: Record<string, unknown> = {};
  for (const key of Object.keys(value)) {
    const own = jsonCopy(value[key]);
    if (own === undefined) continue;
    if (key === '__proto__') {
      Object.defineProperty(copy, key, { value: own, enumerable: true, configurable: true, writable: true });
    } else copy[key] = own;
  }
  return copy;
}

function copyOfArray(value: readonly unknown[]): unknown[] {
  const copy: unknown[] = [];
  for (let i = 0; i < value.length; i++) copy.push(jsonCopy(value[i]) ?? null);
  return copy;
}

const isBox = (value: object) =>
  Object.getPrototypeOf(value) !== Object.prototype &&
  (value instanceof Number || value instanceof String || value instanceof Boolean);
