import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Batch, merge } from '../lib/batch.mjs';
import { decode } from '../lib/decode.mjs';
import { MAX_FRAME } from '../lib/limits.mjs';

const T = 1763559525000000000n;

/** made returns a batch of n points of one series. */
function made(n = 4) {
  const b = new Batch('h');
  b.now = T;
  for (let i = 0; i < n; i++) b.add('cpu', { usage: i / 2, count: BigInt(i), on: i % 2 === 0 }, { cpu: `cpu${i}`, site: 'a' });
  return b;
}

const again = (b) => decode(b.encode(), { contentType: 'application/x-pacewire+msgpack', host: 'h' });
const points = (b) => [...b.points()].map(({ series, time, tags, fields, types }) => ({ series, time, tags: { ...tags }, fields: { ...fields }, types: { ...types } }));

test('add: types of values, what is left out and why', () => {
  const f = (want, drops, ...args) => {
    const b = new Batch();
    b.now = T;
    b.types.typed = { n: 'i' };
    b.add(...args);
    assert.deepEqual(points(b).map(({ fields, types, tags }) => [fields, types, tags]), want);
    assert.deepEqual(b.drops, drops);
  };
  f([[{ n: 1 }, { n: 'f' }, {}]], {}, 's', { n: 1 });
  f([[{ n: 1 }, { n: 'i' }, {}]], {}, 's', { n: 1n });
  f([[{ n: 1 }, { n: 'i' }, {}]], {}, 'typed', { n: 1 });
  f([[{ n: 1 }, { n: 'u' }, {}]], {}, 'typed', { n: 1 }, {}, { types: { n: 'u' } });
  f([[{ n: 2n ** 64n - 1n }, { n: 'u' }, {}]], {}, 's', { n: 2n ** 64n - 1n });
  f([[{ b: true, s: 'x' }, { b: 'b', s: 's' }, { k: '7' }]], {}, 's', { s: 'x', b: true, no: null, not: undefined }, { k: 7, no: '', not: null });
  f([], { nan: 1, no_fields: 1 }, 's', { n: NaN });
  f([], { type: 1, no_fields: 1 }, 'typed', { n: 1.5 });
  f([], { int_range: 1, no_fields: 1 }, 's', { n: 2n ** 64n });
  f([], { no_fields: 1 }, 's', {});
  f([], { time_range: 1 }, 's', { n: 1 }, {}, { time: 2n ** 63n });
  f([], { limit: 1 }, 's', Object.fromEntries(Array.from({ length: 257 }, (_, i) => [`f${i}`, 1])));
  f([[{ 'a b': 1 }, { 'a b': 'f' }, { k: 'x y' }]], {}, 's', { 'a\nb': 1 }, { k: 'x\u0000y' });
});

test('points of one shape are one group, and what is encoded is read as it was', () => {
  const b = made(100);
  b.add('cpu', { usage: 1 }, { cpu: 'x' });
  b.add('mem', { free: 5 }, {}, { time: new Date(1000) });
  assert.deepEqual([b.groups.length, b.length], [3, 102]);
  const want = points(b).map((p) => ({ ...p, tags: { ...p.tags, host: 'h' } }));
  assert.deepEqual(points(again(b)), want);
  assert.equal(want[101].time, 1000000000n);
});

test('groups are changed in columns', () => {
  const b = again(made());
  const [g] = b.groups;
  assert.deepEqual([g.fields, g.tagKeys, g.type('usage'), g.type('no')], [['count', 'on', 'usage'], ['cpu', 'site'], 'f', undefined]);
  assert.deepEqual(Array.from(g.values('usage')), [0, 0.5, 1, 1.5]);
  assert.deepEqual([g.values('no'), g.tag('cpu')[3], g.tag('no')[0], g.tag('host')[0]], [new Array(4).fill(undefined), 'cpu3', '', 'h']);
  const copy = g.copy();
  g.keep((row) => row > 1);
  g.set('half', 'f', g.values('usage').map((v) => v / 2));
  g.set('one', 'i', 1);
  g.rename('usage', 'used');
  g.remove('on');
  g.setTag('site', '');
  g.setTag('cpu', 'all');
  g.setTag('host', '');
  g.series = 'core';
  const want = [[1, 2], [1.5, 3]].map(([used, count]) => ({
    series: 'core', time: T, tags: { cpu: 'all' }, fields: { used, count, half: used / 2, one: 1 }, types: { used: 'f', count: 'i', half: 'f', one: 'i' },
  }));
  assert.deepEqual(points(b), want);
  assert.deepEqual(points(decode(b.encode())), want);
  assert.deepEqual([copy.length, copy.series, copy.values('usage')[3]], [4, 'cpu', 1.5], 'a copy is changed apart');
});

test('a tag is given to who does not say it', () => {
  const b = made(1);
  b.add('mem', { free: 1 });
  b.defaultTag('site', 'far');
  assert.deepEqual(points(b).map((p) => p.tags.site), ['a', 'far']);
});

test('frames: a large batch becomes messages of a size that travels well', () => {
  const b = made(20_000);
  const frames = b.frames();
  assert.ok(frames.length > 1);
  assert.ok(frames.every(({ body }) => body.length <= MAX_FRAME));
  assert.equal(frames.reduce((n, { points: some }) => n + some, 0), 20_000);
  const back = merge(frames.map(({ body }) => decode(body, { host: 'h' })));
  assert.deepEqual(points(back).map((p) => p.fields.count), Array.from({ length: 20_000 }, (_, i) => i));
  assert.deepEqual(new Batch().frames(), []);

  const many = new Batch('h');
  for (let i = 0; i < 1500; i++) many.add(`s${i}`, { n: 1 });
  assert.deepEqual(many.frames().map(({ points: n }) => n), [1024, 476], 'as many groups as a reader takes');

  const fat = new Batch('h');
  fat.add('s', Object.fromEntries(Array.from({ length: 8 }, (_, i) => [`f${i}`, 'x'.repeat(60_000)])));
  assert.deepEqual([fat.frames(), fat.drops], [[], { too_large: 1 }]);
});

test('slice and merge', () => {
  const b = made(6);
  b.add('mem', { free: 1 });
  assert.deepEqual(points(b.slice(5, 7)).map((p) => p.series), ['cpu', 'mem']);
  const m = merge([b, made(1)]);
  assert.deepEqual([m.length, m.host], [8, 'h']);
  assert.equal(merge([b, new Batch('other')]).host, '', 'about several hosts');
});
