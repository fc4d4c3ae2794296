export { adminOf, Client, eventually, signIn, type Answer } from './client.js';
export { adminUrl, createDatabase, type DatabaseTemplate, type TestDatabase } from './database.js';
export { natsAvailable, startTestNats, type TestNats } from './nats.js';
export { quickest } from './quickest.js';
export { sendRaw, type RawAnswer } from './raw.js';
export { freePort } from './ports.js';
export { given, type Decider, type Then, type When } from './spec.js';
export { sharedStack, startStack, type Stack, type StackEnd, type Topology } from './stack.js';
export { removeTestDir, testDir } from './test-dir.js';
