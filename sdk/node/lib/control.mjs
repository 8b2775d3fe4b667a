/** Control messages, in msgpack or JSON: a plugin reads answers to its heartbeats and requests; it writes the other kinds. */
import { createHash } from 'node:crypto';
import { decode as unpack, encode as pack } from '@msgpack/msgpack';
import { JSONReader, stringify } from './json.mjs';
import { DecodeError, validText } from './msgpack.mjs';

const INT64_MAX = 2n ** 63n - 1n, INT64_MIN = -(2n ** 63n), UINT64_MAX = 2n ** 64n - 1n;
const WAIT = 2 ** 40;
const DEEPEST = 16;

const bounds = {
  ack: { bytes: 256 << 10, depth: DEEPEST, values: 20_000 },
  request: { bytes: 64 << 10, depth: DEEPEST, values: 4096 },
};

// Types of values. Each takes what came and returns what it means.
const text = (v) => (typeof v === 'string' ? v : wrong('text', v));
const bool = (v) => (typeof v === 'boolean' ? v : wrong('true or false', v));
const integer = (low, high) => (v) => {
  if (typeof v === 'string') {
    if (!/^[+-]?[0-9]+$/.test(v) || BigInt(v) > UINT64_MAX || BigInt(v) < INT64_MIN) wrong('an integer', v);
    v = BigInt(v);
  }
  if (typeof v === 'number' && (!Number.isInteger(v) || Math.abs(v) > 2 ** 53)) throw new DecodeError('range', `${v} is no exact integer`);
  if (typeof v !== 'number' && typeof v !== 'bigint') wrong('an integer', v);
  if (v < low || v > high) throw new DecodeError('range', `${v}, expected ${low} to ${high}`);
  return typeof v === 'bigint' && v >= -(2n ** 53n) && v <= 2n ** 53n ? Number(v) : v === 0 ? 0 : v;
};
const int = integer(INT64_MIN, INT64_MAX);
const count = integer(0, UINT64_MAX);
const below = (high) => integer(0, high);
const list = (of) => (v) => asArray(v).map((item, i) => under(`[${i}]`, () => of(item)));
const mapOf = (of) => (v) => Object.fromEntries(entriesOf(v).map(([k, item]) => [k, under(k.slice(0, 64), () => of(item))]));
const word = (...words) => (v) => {
  if (text(v) !== '' && !words.includes(v)) throw new DecodeError('range', `${JSON.stringify(v.slice(0, 64))} is none of ${words.join(', ')}`);
  return v;
};
const facts = (v) => mapOf(plain)(v);

function plain(v) {
  if (v instanceof Uint8Array) return Buffer.from(v).toString('hex');
  if (v instanceof Date) return v.toISOString();
  if (Array.isArray(v)) return v.map(plain);
  return v !== null && typeof v === 'object' ? facts(v) : v;
}

/** digest is 16 bytes as hex; '' for none. */
function digest(v) {
  if (v instanceof Uint8Array && (v.length === 16 || v.length === 0)) return zeroless(Buffer.from(v).toString('hex'));
  if (typeof v !== 'string') wrong('a digest of 16 bytes', v);
  if (!/^([0-9a-fA-F]{32})?$/.test(v)) throw new DecodeError('range', 'digest: expected 32 hex digits');
  return zeroless(v.toLowerCase());
}

const zeroless = (hex) => (/^0*$/.test(hex) ? '' : hex);

/** object is a JSON object: as text, as bytes or itself. */
function object(v) {
  if (typeof v !== 'string' && !(v instanceof Uint8Array)) {
    if (Array.isArray(v) && v.length > 0) wrong('a JSON object', v);
    return v !== null && typeof v === 'object' ? facts(v) : wrong('a JSON object', v);
  }
  const bytes = Buffer.from(v);
  if (!/^\s*\{/.test(bytes.toString('latin1'))) wrong('a JSON object', v);
  return plain(parse(bytes, { ...bounds.ack, depth: DEEPEST - 2 }).value);
}

function wrong(want, got) {
  const kind = got === null ? 'nil' : Array.isArray(got) ? 'an array' : got instanceof Uint8Array ? 'bytes' : `a ${typeof got}`;
  throw new DecodeError('type', `expected ${want}, got ${kind}`);
}

/** under runs f, and puts key before the path of its error. */
function under(key, f) {
  try {
    return f();
  } catch (err) {
    if (err instanceof DecodeError) err.path = key + (err.path && !err.path.startsWith('[') ? '.' : '') + (err.path ?? '');
    throw err;
  }
}

function asArray(v) {
  if (Array.isArray(v)) return v;
  return isMap(v) && Object.keys(v).length === 0 ? [] : wrong('an array', v);
}

function entriesOf(v) {
  if (isMap(v)) return Object.entries(v);
  return Array.isArray(v) && v.length === 0 ? [] : wrong('a map', v);
}

const isMap = (v) => v !== null && typeof v === 'object' && !Array.isArray(v) && !(v instanceof Uint8Array) && !(v instanceof Date);

/** record reads a map with these keys; one with ! is required. Others are ignored, null is absent. */
function record(layout) {
  const keys = Object.entries(layout).map(([k, type]) => [k.replace('!', ''), k.endsWith('!'), type]);
  return (v) => {
    const given = new Map(entriesOf(v));
    const out = {};
    for (const [key, , type] of keys) {
      const item = given.get(key);
      if (item !== undefined && item !== null) out[key] = under(key, () => type(item));
    }
    for (const [key, required] of keys) {
      if (required && (out[key] === undefined || out[key] === '')) under(key, () => { throw new DecodeError('required', 'missing or empty'); });
    }
    return out;
  };
}

const version = (v) => {
  if (count(v) !== 1) throw new DecodeError('range', `version ${v}, but only 1 is spoken here`);
  return 1;
};

const layouts = {
  ack: record({
    'v!': version, 'srv!': text, term: count, 'seq!': count, t1: int, t2: int, t3: int, rcv: count, lost: count, gen: count,
    'state!': word('accepted', 'refused'), reason: text, next_ms: below(3_600_000), inv: digest, flags: list(text), batch_v: list(count),
    cfg_rev: count, config: object, inputs: list(record({ 'stream!': text, 'durable!': text, filters: list(text), end: count })),
    tags: mapOf(text), every_ms: below(WAIT),
    schedule: record({ cron: text, timezone: text, align: bool, splay_ms: int, from: int, until: int, count: int }),
    timeout_ms: below(WAIT), max_ack_pending: below(1 << 20), parallel: below(1 << 10), order: word('source'), queue_bytes: below(WAIT),
    overflow: word('block', 'drop_oldest', 'drop_new'), max_rate: below(WAIT), max_series: below(WAIT),
  }),
  request: record({ 'id!': text, want: list(text), mode: word('cached', 'collect'), max_age_ms: below(WAIT), args: facts }),
};

const work = ['inputs', 'tags', 'every_ms', 'schedule', 'timeout_ms', 'max_ack_pending', 'parallel', 'order', 'queue_bytes', 'overflow', 'max_rate', 'max_series'];

/** checkWork refuses an answer that tells of work, and not of its config. */
function checkWork(ack) {
  if (ack.config === undefined && work.some((key) => ack[key] !== undefined)) throw new DecodeError('required', 'missing', 'config');
}

/** decodeControl returns { message, json } of a kind: ack or request. */
export function decodeControl(kind, body) {
  const { value, json } = parse(body, bounds[kind]);
  const message = layouts[kind](value);
  if (kind === 'ack') checkWork(message);
  return { message, json };
}

/** parse returns the value in body, once it is known to be harmless. */
function parse(body, limit) {
  const json = body[0] === 0x7b;
  if (!json) {
    guard(body, limit);
    return { value: unpack(body, { useBigInt64: true }), json };
  }
  if (body.length > limit.bytes) throw new DecodeError('limit', `${body.length} bytes, at most ${limit.bytes} are taken`);
  const reader = new JSONReader(body, { huge: true, cut: true });
  reader.value(DEEPEST);
  reader.end();
  const packed = reader.out.done();
  guard(packed, { ...limit, bytes: Infinity });
  return { value: unpack(packed, { useBigInt64: true }), json };
}

/** encodeControl writes a message of any kind. Digests are hex in it, config and schema objects. What is undefined is left out. */
export function encodeControl(message, json = false) {
  if (json) return Buffer.from(stringify(wire(message, true)));
  return pack(wire(message, false), { useBigInt64: true, ignoreUndefined: true, forceIntegerToFloat: false });
}

const digestKeys = new Set(['inv', 'cfg', 'digest']);

/** wire returns a message with its values as an encoding has them. */
function wire(v, json, key = '') {
  if (digestKeys.has(key) && typeof v === 'string') return json ? v : Buffer.from(v, 'hex');
  if (key === 'inv_list') return v.map((it) => it.map((x, i) => wire(x, json, i === 3 || i === 4 ? 'digest' : '')));
  if ((key === 'config' || key === 'schema') && !json && isMap(v)) return stringify(v);
  if (key === 'data') return json ? sortedFacts(bigs(v)) : shortest(sortedFacts(bigs(v))); // of these bytes the digest is taken
  if (key === 'attrs' || key === 'args') return bigs(v);
  if (typeof v === 'bigint' || typeof v === 'number') return bigs(v);
  if (Array.isArray(v)) return v.map((x) => wire(x, json));
  if (!isMap(v)) return v;
  return Object.fromEntries(Object.entries(v).filter(([, x]) => x !== undefined).map(([k, x]) => [k, wire(x, json, k)]));
}

/** bigs makes integers beyond 2^32 BigInts, which are written as integers: the package writes such numbers as floats or not at all. */
function bigs(v) {
  if (typeof v === 'number') return Number.isSafeInteger(v) && Math.abs(v) > 0x7fffffff ? BigInt(v) : v;
  if (Array.isArray(v)) return v.map(bigs);
  return isMap(v) ? Object.fromEntries(Object.entries(v).filter(([, x]) => x !== undefined).map(([k, x]) => [k, bigs(x)])) : v;
}

/** sortedFacts returns facts with their keys sorted. */
function sortedFacts(v) {
  if (Array.isArray(v)) return v.map(sortedFacts);
  if (!isMap(v)) return v;
  return Object.fromEntries(Object.keys(v).filter((k) => v[k] !== undefined).sort().map((k) => [k, sortedFacts(v[k])]));
}

/** encodeFacts writes facts in their one form: equal facts give equal bytes. */
export function encodeFacts(v, json = false) {
  const sorted = bigs(sortedFacts(v));
  return json ? Buffer.from(stringify(sorted)) : Buffer.from(packFacts(sorted));
}

/** packFacts writes integers in their shortest form, BigInts too, where the package writes nine bytes. */
function packFacts(v) {
  return pack(shortest(v), { useBigInt64: true });
}

function shortest(v) {
  if (typeof v === 'bigint') return v >= 0n && v <= 0xffffffffn ? Number(v) : v;
  if (Array.isArray(v)) return v.map(shortest);
  return isMap(v) ? Object.fromEntries(Object.entries(v).map(([k, x]) => [k, shortest(x)])) : v;
}

/** digestOf is the first half of a SHA-256, in hex. */
export function digestOf(bytes) {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 32);
}

/** inventoryDigest is the digest of a whole inventory: entries [plugin, type, version, cfg, digest]. */
export function inventoryDigest(entries) {
  const order = (e) => Buffer.from(`${e[0]}\0${e[1]}`);
  const hash = createHash('sha256');
  for (const [plugin, type, version, cfg, dig] of [...entries].sort((a, b) => Buffer.compare(order(a), order(b)))) {
    hash.update(`${plugin}\0${type}\0${version}\0`);
    for (const d of [cfg, dig]) hash.update(Buffer.from(d.padEnd(32, '0'), 'hex'));
  }
  return hash.digest('hex').slice(0, 32);
}

/** guard walks msgpack once and refuses what could harm a decoder. */
function guard(body, limit) {
  const b = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  if (b.length === 0) throw new DecodeError('empty', 'no bytes');
  if (b.length > limit.bytes) throw new DecodeError('limit', `${b.length} bytes, at most ${limit.bytes} are taken`);
  const open = [{ left: 1, map: false }];
  let at = 0, owed = 1, values = limit.values;
  while (owed > 0) {
    const it = headOf(b, at);
    const top = open[open.length - 1];
    if (top.map && top.left % 2 === 0) {
      if (it.kind !== 'str') throw new DecodeError('key', `byte ${at}`);
    } else if (--values < 0) {
      throw new DecodeError('limit', 'too many values');
    }
    top.left--;
    owed--;
    if (it.kind === 'map' || it.kind === 'array') {
      const items = it.kind === 'map' ? 2 * it.n : it.n;
      if (items > b.length - at - it.size - owed) throw new DecodeError('truncated', `byte ${at}`);
      if (open.length > limit.depth) throw new DecodeError('depth', `byte ${at}`);
      open.push({ left: items, map: it.kind === 'map' });
      owed += items;
    } else {
      checkScalar(b, at, it);
    }
    while (open.length > 1 && open[open.length - 1].left === 0) open.pop();
    at += it.size;
  }
  if (at < b.length) throw new DecodeError('trailing', `${b.length - at} bytes after the message`);
}

/** headOf returns kind, size (without the items of a map or an array), head and n of the item at a place. */
function headOf(b, at) {
  if (at >= b.length) throw new DecodeError('truncated', `byte ${at}`);
  const c = b[at];
  if (c < 0x80 || c >= 0xe0) return { kind: 'int', size: 1 };
  if (c < 0x90) return { kind: 'map', size: 1, n: c & 0x0f };
  if (c < 0xa0) return { kind: 'array', size: 1, n: c & 0x0f };
  if (c < 0xc0) return fitting(b, at, { kind: 'str', head: 1, n: c & 0x1f });
  if (c === 0xc1) throw new DecodeError('syntax', `byte ${at}`);
  const [kind, width, fixed] = wideForms[c - 0xc0];
  const head = 1 + width + (kind === 'ext' ? 1 : 0);
  if (at + head > b.length) throw new DecodeError('truncated', `byte ${at}`);
  if (kind === 'scalar' || kind === 'float') return { kind, size: head, width };
  const n = width > 0 ? b.readUIntBE(at + 1, width) : fixed;
  if (kind === 'map' || kind === 'array') return { kind, size: head, n };
  return fitting(b, at, { kind, head, n });
}

function fitting(b, at, it) {
  it.size = it.head + it.n;
  if (at + it.size > b.length) throw new DecodeError('truncated', `byte ${at}`);
  return it;
}

const wideForms = [
  ['scalar', 0], ['scalar', 0], ['scalar', 0], ['scalar', 0], ['bin', 1], ['bin', 2], ['bin', 4], ['ext', 1], ['ext', 2], ['ext', 4],
  ['float', 4], ['float', 8], ['scalar', 1], ['scalar', 2], ['scalar', 4], ['scalar', 8], ['scalar', 1], ['scalar', 2], ['scalar', 4], ['scalar', 8],
  ['ext', 0, 1], ['ext', 0, 2], ['ext', 0, 4], ['ext', 0, 8], ['ext', 0, 16], ['str', 1], ['str', 2], ['str', 4],
  ['array', 2], ['array', 4], ['map', 2], ['map', 4],
];

function checkScalar(b, at, it) {
  if (it.kind === 'str' && !validText(b.subarray(at + it.head, at + it.size))) throw new DecodeError('utf8', `byte ${at}`);
  if (it.kind === 'ext' && (b[at + it.head - 1] !== 0xff || ![4, 8, 12].includes(it.n))) throw new DecodeError('ext', `byte ${at}`);
  if (it.kind !== 'float') return;
  if (!Number.isFinite(it.width === 4 ? b.readFloatBE(at + 1) : b.readDoubleBE(at + 1))) throw new DecodeError('nan', `byte ${at}`);
}
