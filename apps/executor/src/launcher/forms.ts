/** The ways in which programs print a secret that they were given. */

/** A shorter one would be a word of any text. */
const shortest = 6;
/** A longer one is a file: escaped, it is found by its lines. */
const longestEscaped = 4_096;
/** Where `base64` of coreutils and of MIME break their lines. */
const base64Lines = [76, 64];

/** Every form of these values, once. */
export function formsOf(values: readonly string[]): Buffer[] {
  const forms = new Set<string>();
  for (const value of values) {
    for (const part of partsOf(value)) {
      if (part.length >= shortest) for (const form of [...escapesOf(part), ...base64Of(part)]) forms.add(form);
    }
  }
  return [...forms].map((form) => Buffer.from(form));
}

/** Whole, and each line by itself: a log puts something of its own before every line. */
const partsOf = (value: string): string[] =>
  [value, ...value.split(/\r?\n/).map((line) => line.trim())].map((part) => part.toWellFormed());

function escapesOf(part: string): string[] {
  return part.length > longestEscaped ? [part] : [part, ...quotedOf(part), ...urlsOf(part)];
}

/** As JSON, with and without escapes for what is not ASCII, and as shells quote words. */
function quotedOf(part: string): string[] {
  const json = JSON.stringify(part).slice(1, -1);
  const ascii = json.replace(/[^\0-\x7e]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
  return [
    ...[json, ascii, json.replaceAll('/', '\\/'), ascii.replaceAll('/', '\\/')],
    ...[
      part.replaceAll("'", `'\\''`),
      part.replaceAll("'", `'"'"'`),
      part.replace(/[\\']/g, '\\$&').replaceAll('\n', '\\n'),
    ],
    ...[part.replace(/[^\w@%+=:,./\n-]/g, '\\$&'), part.replace(/[\\$`"]/g, '\\$&')],
  ];
}

/** As a component, with nothing but unreserved characters, and as a form has it; digits in both cases. */
function urlsOf(part: string): string[] {
  const component = encodeURIComponent(part);
  const strict = component.replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
  const form = new URLSearchParams([['', part]]).toString().slice(1);
  const all = [component, strict, strict.replaceAll('%20', '+'), form];
  return [...all, ...all.map((each) => each.replace(/%../g, (code) => code.toLowerCase()))];
}

/** Wherever in a text the value stands: at each of the three places within a group, what of it does not depend on its neighbours. */
function base64Of(part: string): string[] {
  const bytes = Buffer.from(part);
  const whole = bytes.toString('base64');
  const cores = [0, 1, 2].map((before) => {
    const text = Buffer.concat([Buffer.alloc(before), bytes]).toString('base64');
    return text.slice(Math.ceil((before * 8) / 6), Math.floor(((before + bytes.length) * 8) / 6));
  });
  const lines = base64Lines.flatMap((length) => linesOf(whole, length));
  const all = [whole, ...cores, ...lines];
  return [...all, ...all.map((each) => each.replaceAll('+', '-').replaceAll('/', '_'))];
}

function linesOf(text: string, length: number): string[] {
  const lines: string[] = [];
  for (let at = 0; text.length > length && at < text.length; at += length) lines.push(text.slice(at, at + length));
  return lines.filter((line) => line.length >= shortest);
}
