import { setFlagsFromString } from 'node:v8';

/** How much a heap may grow before it is collected, in percent of what lived after the last time; V8 itself allows up to 300. */
const usual = 100;
const careful = 20;
const carefulFor = 10_000;
let relaxing: NodeJS.Timeout | undefined;

const mayGrowBy = (percent: number) => setFlagsFromString(`--heap-growing-percent=${percent}`);

/** Memory that is given back costs processor time: twice what lives is what steady work may hold. */
export function boundHeap(): void {
  mayGrowBy(usual);
}

/** Megabytes are being taken in that will soon be garbage: for a while it is collected as it comes. */
export function boundHeapTightly(): void {
  clearTimeout(relaxing);
  mayGrowBy(careful);
  relaxing = setTimeout(boundHeap, carefulFor).unref();
}
