/** `--import`ed: makes the process as big as a long-lived one, 400 MB resident. */
const held = Array.from({ length: 100 }, () => Buffer.alloc(4 * 1_048_576, 1));
setInterval(() => held.length, 3_600_000).unref();
globalThis[Symbol.for('bench ballast')] = held;
