/** Line protocol, as scripts and other collectors write it. A line that cannot be read is counted, and the others stand. */
import { Batch } from './batch.mjs';
import { MAX_FIELDS, MAX_NAME, MAX_TAGS, MAX_TAG_VALUE, MAX_TEXT, bytesOf } from './limits.mjs';
import { validText } from './msgpack.mjs';

const INT64_MAX = 2n ** 63n - 1n, INT64_MIN = -(2n ** 63n), UINT64_MAX = 2n ** 64n - 1n;

class LineError extends Error {}

/** decodeLines returns a batch of the lines of body; unit: ns per tick of their times, stored: the time of those without one. */
export function decodeLines(body, unit, stored) {
  const batch = new Batch();
  const s = new Scan(Buffer.from(body).toString(validText(body) ? 'utf8' : 'latin1'), !validText(body));
  while (s.nextLine()) {
    try {
      const point = s.line(unit);
      for (const code of point.drops) batch.drop(code);
      if (Object.keys(point.fields).length === 0) batch.drop('no_fields');
      else batch.add(point.series, point.fields, point.tags, { time: point.time ?? stored / 1000n * 1000n, types: point.types });
    } catch (err) {
      if (!(err instanceof LineError)) throw err;
      batch.drop(err.message);
      s.skipLine();
    }
  }
  return batch;
}

/** A Scan reads lines one character at a time. broken: the text is bytes, some of which are not UTF-8. */
class Scan {
  constructor(text, broken) {
    this.text = text;
    this.broken = broken;
    this.at = 0;
  }

  get here() { return this.text[this.at] ?? '\n'; }

  fail(code = 'line') { throw new LineError(code); }

  /** nextLine goes to the next line that is neither empty nor a comment. */
  nextLine() {
    while (this.at < this.text.length) {
      const c = this.text[this.at];
      if (c === '#') this.skipLine();
      else if (c === ' ' || c === '\n' || (c === '\r' && this.endsLine())) this.at++;
      else return true;
    }
    return false;
  }

  skipLine() {
    const end = this.text.indexOf('\n', this.at);
    this.at = end < 0 ? this.text.length : end + 1;
  }

  endsLine() { return /^(\r?\n|\r?$)/.test(this.text.slice(this.at, this.at + 2)); }

  line(unit) {
    const point = { series: this.name(false), tags: Object.create(null), fields: Object.create(null), types: Object.create(null), drops: [] };
    let tags = 0;
    for (; this.here === ','; tags++) this.tag(point.tags);
    if (tags > MAX_TAGS || this.here !== ' ') this.fail();
    const names = new Set();
    this.blanks();
    do this.field(point, names);
    while (this.here === ',' && ++this.at);
    if (names.size > MAX_FIELDS) this.fail();
    this.blanks();
    if (!this.endsLine()) point.time = this.time(unit);
    this.blanks();
    if (!this.endsLine()) this.fail();
    this.skipLine();
    return point;
  }

  blanks() {
    while (this.here === ' ') this.at++;
  }

  /** token takes a name or a tag value. In a series = is like any other character. */
  token(tag) {
    const special = (c) => c === ',' || c === ' ' || (c === '=' && tag);
    let out = '';
    for (; this.at < this.text.length; this.at++) {
      let c = this.text[this.at];
      if (c === '\\' && special(this.text[this.at + 1])) c = this.text[++this.at];
      else if (c < ' ' || c === '\x7f' || special(c)) break;
      out += c;
    }
    return this.checked(out);
  }

  checked(text) {
    if (this.broken && !validText(Buffer.from(text, 'latin1'))) this.fail();
    return this.broken ? Buffer.from(text, 'latin1').toString() : text;
  }

  name(tag) {
    const name = this.token(tag);
    if (name === '' || bytesOf(name) > MAX_NAME) this.fail();
    return name;
  }

  tag(tags) {
    this.at++;
    const key = this.name(true);
    if (this.here !== '=' || key in tags) this.fail();
    this.at++;
    const value = this.token(true);
    if (value === '' || bytesOf(value) > MAX_TAG_VALUE) this.fail();
    tags[key] = value;
  }

  field(point, names) {
    const name = this.name(true);
    if (this.here !== '=' || names.has(name)) this.fail();
    names.add(name);
    this.at++;
    const [type, value, drop] = this.here === '"' ? this.quoted() : this.value();
    if (drop) return point.drops.push(drop);
    point.fields[name] = value;
    point.types[name] = type;
    return undefined;
  }

  quoted() {
    const open = this.at++;
    let out = '';
    for (; this.at < this.text.length && this.here !== '"'; this.at++) {
      let c = this.here;
      if (c === '\\') {
        const meant = { '"': '"', '\\': '\\', n: '\n', r: '\r', t: '\t' }[this.text[this.at + 1]];
        if (meant) c = (this.at++, meant);
        else out += c, c = this.text[++this.at] ?? '';
      }
      out += c;
    }
    if (this.at >= this.text.length) {
      this.at = open; // so that the lines after this one are not lost with it
      this.fail();
    }
    this.at++;
    out = this.checked(out);
    return bytesOf(out) > MAX_TEXT ? ['s', undefined, 'too_long'] : ['s', out, ''];
  }

  value() {
    const from = this.at;
    while (this.here > ' ' && this.here !== ',') this.at++;
    const text = this.text.slice(from, this.at);
    if (/^(t|T|true|True|TRUE)$/.test(text)) return ['b', true, ''];
    if (/^(f|F|false|False|FALSE)$/.test(text)) return ['b', false, ''];
    if (/^-?[0-9]+[iu]$/.test(text)) return integer(text);
    if (/^[+-]?(nan|inf|infinity)$/i.test(text)) return ['f', undefined, 'nan'];
    if (!/^-?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$/.test(text)) this.fail();
    const v = Number(text);
    return Number.isFinite(v) ? ['f', v, ''] : ['f', undefined, 'nan'];
  }

  time(unit) {
    const found = /^-?[0-9]+/.exec(this.text.slice(this.at, this.at + 40));
    if (!found) this.fail();
    this.at += found[0].length;
    const ns = BigInt(found[0]) * unit;
    if (ns > INT64_MAX || ns < INT64_MIN) this.fail('time_range');
    return ns;
  }
}

function integer(text) {
  const type = text.at(-1), v = BigInt(text.slice(0, -1));
  const [low, high] = type === 'i' ? [INT64_MIN, INT64_MAX] : [0n, UINT64_MAX];
  return v < low || v > high ? [type, undefined, 'int_range'] : [type, v, ''];
}
