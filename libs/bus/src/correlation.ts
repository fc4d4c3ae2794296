import { AsyncLocalStorage } from 'node:async_hooks';

const storage = new AsyncLocalStorage<string>();

/** The id that ties together everything one order causes; every handler runs inside it, so each hop's log lines carry it. */
export const correlation = {
  run<R>(id: string, work: () => R): R {
    return storage.run(id, work);
  },
  current(): string | undefined {
    return storage.getStore();
  },
};
