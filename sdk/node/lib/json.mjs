/** JSON from strangers, turned into msgpack: one reader then checks both, and knows one set of limits and codes. */
import { DecodeError, Writer, validText } from './msgpack.mjs';

const INT64_MIN = -(2n ** 63n), UINT64_MAX = 2n ** 64n - 1n;

/** stringify writes a value as JSON; a BigInt becomes a plain integer. */
export function stringify(value) {
  if (typeof value === 'bigint') return String(value);
  if (Array.isArray(value)) return `[${value.map((v) => stringify(v ?? null)).join(',')}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  if (value instanceof Uint8Array) return JSON.stringify(Buffer.from(value).toString('hex'));
  const pairs = Object.entries(value).filter(([, v]) => v !== undefined);
  return `{${pairs.map(([k, v]) => `${JSON.stringify(k)}:${stringify(v)}`).join(',')}}`;
}

/** A JSONReader takes one value after the other and writes each as msgpack. */
export class JSONReader {
  /** huge: numbers beyond float64 are an error and not an infinity. cut: an early end is called truncated. */
  constructor(bytes, { huge = false, cut = false } = {}) {
    if (!validText(bytes)) throw new DecodeError('utf8', 'JSON');
    this.text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString();
    this.at = 0;
    this.huge = huge;
    this.cut = cut;
    this.literal = false; // numbers and bools become text, as they are written
    this.out = new Writer(bytes.length + 64);
  }

  fail(code, what) {
    if (this.cut && code === 'syntax' && this.at >= this.text.length) code = 'truncated';
    throw new DecodeError(code, `${what}, character ${this.at}`);
  }

  /** peek skips blanks and returns the next character, '' at the end. */
  peek() {
    while (this.at < this.text.length && ' \n\r\t'.includes(this.text[this.at])) this.at++;
    return this.text[this.at] ?? '';
  }

  take(c) {
    if (this.text[this.at] !== c) return false;
    this.at++;
    return true;
  }

  /** more reports whether an array or object goes on after n elements, and takes what stands between. */
  more(end, n) {
    this.peek();
    if (this.take(end)) return false;
    if (n > 0 && !this.take(',')) this.fail('syntax', `want a comma or ${end}`);
    return true;
  }

  end() {
    if (this.peek() !== '') this.fail('trailing', 'something after the end');
  }

  value(depth) {
    const c = this.peek();
    if (c === '[' || c === '{') {
      if (depth === 0) this.fail('depth', 'nested too deep');
      this.at++;
      if (c === '[') this.array(depth - 1);
      else this.object(depth - 1);
    } else if (c === '"') {
      this.out.str(this.string());
    } else if (c === '-' || (c >= '0' && c <= '9')) {
      this.number();
    } else {
      this.word();
    }
  }

  array(depth) {
    const head = this.head(0xdd);
    let n = 0;
    for (; this.more(']', n); n++) this.value(depth);
    this.patch(head, n);
  }

  object(depth) {
    const head = this.head(0xdf);
    let n = 0;
    for (; this.more('}', n); n++) {
      this.out.str(this.key());
      this.value(depth);
    }
    this.patch(head, n);
  }

  key() {
    if (this.peek() !== '"') this.fail('syntax', 'want a key');
    const key = this.string();
    this.peek();
    if (!this.take(':')) this.fail('syntax', 'want a colon');
    return key;
  }

  /** head leaves room for a length that is known at the end. */
  head(kind) {
    this.out.sized(kind, 0, 4);
    return this.out.at;
  }

  patch(head, n) { this.out.buf.writeUInt32BE(n, head - 4); }

  word() {
    for (const [word, write] of [['null', () => this.out.nil()], ['false', () => this.out.bool(false)], ['true', () => this.out.bool(true)]]) {
      if (!this.text.startsWith(word, this.at)) continue;
      this.at += word.length;
      if (this.literal && word !== 'null') this.out.str(word);
      else write();
      return;
    }
    this.fail('syntax', 'want a value');
  }

  number() {
    const pattern = /-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text);
    if (!found || /[0-9.]/.test(this.text[pattern.lastIndex] ?? '')) {
      if (/^-?[0-9.eE+-]*$/.test(this.text.slice(this.at))) this.at = this.text.length; // cut within a number
      this.fail('syntax', 'number');
    }
    this.at = pattern.lastIndex;
    const [text, , fraction, exponent] = found;
    if (this.literal) return this.out.str(text);
    if (!fraction && !exponent && text !== '-0' && text.length <= 20) {
      const v = BigInt(text);
      if (v >= INT64_MIN && v <= UINT64_MAX) return this.out.int(v);
    }
    const v = Number(text);
    if (this.huge && !Number.isFinite(v)) this.fail('range', `${text.slice(0, 64)} is beyond float64`);
    return this.out.float(v);
  }

  string() {
    this.at++;
    let out = '';
    for (;;) {
      const from = this.at;
      while (this.at < this.text.length && this.text[this.at] >= ' ' && this.text[this.at] !== '"' && this.text[this.at] !== '\\') this.at++;
      out += this.text.slice(from, this.at);
      if (!this.take('\\')) break;
      out += this.escape();
    }
    if (!this.take('"')) this.fail('syntax', 'string without an end, or with a control character');
    return out;
  }

  escape() {
    const meant = { '"': '"', '\\': '\\', '/': '/', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' }[this.text[this.at]];
    if (meant) return this.at++, meant;
    const high = this.unicode();
    if (high < 0xd800 || high > 0xdfff) return String.fromCharCode(high);
    const low = this.take('\\') ? this.unicode() : 0;
    if (high > 0xdbff || low < 0xdc00 || low > 0xdfff) this.fail('utf8', 'half of a surrogate pair');
    return String.fromCharCode(high, low);
  }

  unicode() {
    const digits = this.text.slice(this.at + 1, this.at + 5);
    if (this.text[this.at] !== 'u' || !/^[0-9a-fA-F]{4}$/.test(digits)) this.fail('syntax', 'escape');
    this.at += 5;
    return parseInt(digits, 16);
  }
}
