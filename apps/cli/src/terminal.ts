/** What a command printed must not steer the terminal of whoever reads it: colours pass, other control characters do not. */
const escape = '\x1b';
const control = /\p{Cc}/gu;
const colour = /.\[[0-9;:]*m/sy;
const unfinished = /^.(\[[0-9;:]{0,40})?$/s;

export class TerminalFilter {
  private held = '';

  /** The harmless part of the text; an escape sequence that is cut at its end waits for the rest. */
  push(text: string): string {
    const all = this.held + text;
    const last = all.lastIndexOf(escape);
    this.held = last >= 0 && unfinished.test(all.slice(last)) ? all.slice(last) : '';
    return printable(all.slice(0, all.length - this.held.length));
  }
}

/** The text without control characters, but for tabs, line ends and colours. */
function printable(text: string): string {
  return text.replace(control, (character, at: number) => {
    colour.lastIndex = at;
    const harmless = character === escape ? colour.test(text) : '\t\n\r'.includes(character);
    return harmless ? character : '';
  });
}

/** For one line of a table: no line ends and no colours of its own either. */
export const plain = (text: string): string => text.replace(/\p{Cc}+/gu, ' ');
