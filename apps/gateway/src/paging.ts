import { type Page } from '#bus';

const pageSize = 200;

/** Every item of a list, page after page, never more than one page in memory. */
export async function* everything<T>(
  page: (cursor: string | undefined, limit: number) => Promise<Page<T>>,
): AsyncGenerator<T> {
  let cursor: string | undefined;
  do {
    const { items, next } = await page(cursor, pageSize);
    yield* items;
    cursor = next ?? undefined;
  } while (cursor !== undefined);
}

/** A JSON array as text, piece by piece: a full list asked for is streamed, not gathered. */
export async function* jsonArray<T>(
  items: AsyncIterable<T> | Iterable<T>,
  shape: (item: T) => unknown,
  before = '[',
  after = ']',
): AsyncGenerator<string> {
  let piece = before;
  let first = true;
  for await (const item of items) {
    piece += `${first ? '' : ','}${JSON.stringify(shape(item))}`;
    first = false;
    if (piece.length < 32_768) continue;
    yield piece;
    piece = '';
  }
  yield piece + after;
}
