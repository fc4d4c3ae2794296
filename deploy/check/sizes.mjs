/** Twelve lines on how big things are; a source file over 400 lines fails the check. */
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';

const longest = 400;
const root = path.resolve(import.meta.dirname, '../..');

const paths = ['apps', 'libs', 'deploy']
  .flatMap((top) => readdirSync(path.join(root, top), { recursive: true }).map((file) => path.join(top, file)))
  .filter((file) => /\.tsx?$/.test(file) && !file.endsWith('.d.ts') && !/(^|\/)(node_modules|dist)\//.test(file));
const files = paths.map((file) => read(file));
const tests = files.filter(({ name }) => isTest(name));
const sources = files.filter(({ name }) => !isTest(name));
const functions = sources.flatMap(functionsOf);
const sourceLines = sum(sources);
const testLines = sum(tests);

for (const [name, value] of [
  ['source files', sources.length],
  ['source lines', sourceLines],
  ['test files', tests.length],
  ['test lines', testLines],
  ['test lines per source line', (testLines / Math.max(sourceLines, 1)).toFixed(2)],
  ...spread('file lines', sources),
  ['functions', functions.length],
  ...spread('function lines', functions),
]) {
  console.log(`${name.padEnd(28)}${value}`);
}
for (const { name, lines } of sources.filter(({ lines }) => lines > longest)) {
  console.error(`${name} has ${lines} lines, ${longest} are allowed`);
  process.exitCode = 1;
}

function read(name) {
  const text = readFileSync(path.join(root, name), 'utf8');
  return { name, text, lines: text.split('\n').length - (text.endsWith('\n') ? 1 : 0) };
}

/** What helps tests is no product. */
function isTest(name) {
  return /\.spec\.tsx?$/.test(name) || name.startsWith('libs/testing/') || /(^|\/)e2e\//.test(name);
}

/** Functions and methods that have a body of more than an expression, each with the lines of those inside it. */
function functionsOf({ name, text }) {
  const file = ts.createSourceFile(name, text, ts.ScriptTarget.Latest, true);
  const found = [];
  const visit = (node) => {
    if (ts.isFunctionLike(node) && node.body && ts.isBlock(node.body)) {
      const [first, last] = [node.getStart(file), node.getEnd()].map(
        (at) => file.getLineAndCharacterOfPosition(at).line,
      );
      found.push({ name: `${called(node)} in ${name}`, lines: last - first + 1 });
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}

function called(node) {
  if (ts.isConstructorDeclaration(node)) return 'constructor';
  const named =
    node.name ??
    (ts.isVariableDeclaration(node.parent) || ts.isPropertyAssignment(node.parent) ? node.parent.name : undefined);
  return named?.getText() ?? 'a function';
}

function spread(what, things) {
  const sorted = things.toSorted((a, b) => a.lines - b.lines);
  const at = (share) => sorted[Math.max(Math.ceil(sorted.length * share) - 1, 0)] ?? { name: 'none', lines: 0 };
  return [
    [`${what}, median`, at(0.5).lines],
    [`${what}, p90`, at(0.9).lines],
    [`${what}, max`, `${at(1).lines} (${at(1).name})`],
  ];
}

function sum(things) {
  return things.reduce((total, { lines }) => total + lines, 0);
}
