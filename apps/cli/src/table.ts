import { styled, type Style } from './print.js';
import { plain } from './terminal.js';

const widest = 48;

const colours: Record<string, Style> = {
  succeeded: 'green',
  success: 'green',
  running: 'cyan',
  failed: 'red',
  'timed-out': 'red',
  lost: 'red',
  cancelled: 'yellow',
  canceled: 'yellow',
  skipped: 'yellow',
};

const statusColumns = new Set(['STATUS', 'LAST RUN', 'Status']);

/** Columns that line up, without borders; a status has its colour. */
export function table(titles: string[], rows: string[][]): string {
  const cells = [titles, ...rows.map((row) => row.map(fit))];
  const widths = titles.map((_, column) => Math.max(...cells.map((row) => lengthOf(row[column] ?? ''))));
  return cells.map((row, index) => line(row, widths, index === 0 ? [] : titles)).join('\n');
}

/** Names before their values, one a line; what has no value is left out. */
export function sheet(fields: [string, string | null | undefined][]): string {
  const shown = fields.filter((field): field is [string, string] => Boolean(field[1]));
  const width = Math.max(...shown.map(([name]) => name.length));
  return shown.map(([name, value]) => `${styled('dim', name.padEnd(width))}  ${tinted(name, plain(value))}`).join('\n');
}

function line(row: string[], widths: number[], titles: string[]): string {
  const padded = row.map((cell, column) => {
    const title = titles[column];
    const room = ' '.repeat(widths[column]! - lengthOf(cell));
    return (title === undefined ? styled('dim', cell) : tinted(title, cell)) + room;
  });
  return padded.join('  ').trimEnd();
}

function tinted(title: string, cell: string): string {
  const colour = statusColumns.has(title) ? colours[cell.split(' ', 1)[0]!] : undefined;
  return colour ? styled(colour, cell) : cell;
}

function fit(cell: string): string {
  const characters = [...plain(cell)];
  return characters.length > widest ? `${characters.slice(0, widest - 1).join('')}…` : characters.join('');
}

const lengthOf = (cell: string): number => [...cell].length;
