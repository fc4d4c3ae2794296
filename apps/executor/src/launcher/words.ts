/** Further leaps would gain little: the words of a secret are short. */
const mostLeapt = 32;
const pairOf = (first: number, second: number) => (first << 5) ^ second;

/**
 * Finds many words in one pass over bytes, however they overlap (Aho and Corasick): a node for each beginning of a word,
 * its children a linked list, and a link to the longest beginning that its own end is. Linear in what is read, whatever
 * the words and the text are.
 */
export class Words {
  /** How long the beginning of a node is. */
  readonly depth: Int32Array;
  /** The longest word that ends at a node; 0 for none. */
  readonly found: Int32Array;
  private readonly label: Uint8Array;
  private readonly child: Int32Array;
  private readonly sibling: Int32Array;
  private readonly link: Int32Array;
  /** The root's children by their byte. */
  private readonly roots = new Int32Array(256);
  /** By a pair of bytes: how far at least the end of a shortest beginning is from there. Most of any text is leapt over by it. */
  private readonly leaps = new Uint8Array(8_192);
  private readonly shortest: number;
  private nodes = 1;

  /** Each of two bytes at least. */
  constructor(words: readonly Buffer[]) {
    this.shortest = words.reduce((least, { length }) => Math.min(least, length), mostLeapt);
    this.leaps.fill(this.shortest - 1);
    const most = 1 + words.reduce((sum, word) => sum + word.length, 0);
    this.label = new Uint8Array(most);
    this.depth = new Int32Array(most);
    this.found = new Int32Array(most);
    this.child = new Int32Array(most);
    this.sibling = new Int32Array(most);
    this.link = new Int32Array(most);
    for (const word of words) this.add(word);
    this.tie();
  }

  /** Where from `at` on the first word may begin; the length when nowhere. */
  skip(data: Buffer, at: number): number {
    const { leaps, roots, shortest } = this;
    const last = data.length - shortest;
    let i = at;
    while (i <= last) {
      const leap = leaps[pairOf(data[i + shortest - 2]!, data[i + shortest - 1]!)]!;
      if (leap === 0 && roots[data[i]!] !== 0) return i;
      i += leap || 1;
    }
    while (i < data.length && roots[data[i]!] === 0) i++;
    return i;
  }

  /** The node after one more byte. */
  next(node: number, byte: number): number {
    const { child, sibling, label, link } = this;
    for (let at = node; at !== 0; at = link[at]!) {
      for (let each = child[at]!; each !== 0; each = sibling[each]!) if (label[each] === byte) return each;
    }
    return this.roots[byte]!;
  }

  /** What goes on from a node: its longest end that is the beginning of a word, and not the whole of one. */
  begun(node: number): number {
    let at = node;
    while (at !== 0 && this.child[at] === 0) at = this.link[at]!;
    return at;
  }

  private add(word: Buffer): void {
    for (let at = 2; at <= this.shortest; at++) {
      const pair = pairOf(word[at - 2]!, word[at - 1]!);
      this.leaps[pair] = Math.min(this.leaps[pair]!, this.shortest - at);
    }
    let node = 0;
    for (const byte of word) node = this.childOf(node, byte) || this.grow(node, byte);
    this.found[node] = word.length;
  }

  private childOf(node: number, byte: number): number {
    if (node === 0) return this.roots[byte]!;
    let each = this.child[node]!;
    while (each !== 0 && this.label[each] !== byte) each = this.sibling[each]!;
    return each;
  }

  private grow(parent: number, byte: number): number {
    const node = this.nodes++;
    this.label[node] = byte;
    this.depth[node] = this.depth[parent]! + 1;
    if (parent === 0) this.roots[byte] = node;
    else {
      this.sibling[node] = this.child[parent]!;
      this.child[parent] = node;
    }
    return node;
  }

  /** Level by level: a node's link is found from its parent's. */
  private tie(): void {
    const level = [...this.roots].filter((node) => node !== 0);
    for (let at = 0; at < level.length; at++) {
      const parent = level[at]!;
      for (let node = this.child[parent]!; node !== 0; node = this.sibling[node]!) {
        const link = this.next(this.link[parent]!, this.label[node]!);
        this.link[node] = link;
        this.found[node] ||= this.found[link]!;
        level.push(node);
      }
    }
  }
}
