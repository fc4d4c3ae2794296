import { expect, test } from '@jest/globals';
import { waitAfter } from './line.js';
import { signatureOf } from './webhook.receiver.js';

test('the first retry is soon, the later ones further apart, ten minutes at most', () => {
  const waits = Array.from({ length: 40 }, (_, i) => waitAfter(i + 1));
  expect(waits.slice(0, 4)).toEqual([2_000, 4_000, 8_000, 16_000]);
  expect(waits.slice(9)).toEqual(Array.from({ length: 31 }, () => 600_000));
});

test('a signature is the HMAC-SHA256 of the timestamp, a dot and the body', () => {
  expect(signatureOf('secret', '1700000000', '{"a":1}')).toBe(
    'sha256=49f24e537407743fa4a0242bb63b94b9a47ee99cbbe071ccd8a22550ae411686',
  );
});
