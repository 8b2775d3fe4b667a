import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decode } from '../lib/decode.mjs';

const STORED = 1763559525997744692n;

function read(text, contentType = 'text/x-influx') {
  const b = decode(Buffer.from(text, 'latin1'), { contentType, stored: STORED });
  return { drops: b.drops, points: [...b.points()].map((p) => [p.series, { ...p.tags }, { ...p.fields }, p.time, Object.values(p.types).join('')]) };
}

test('lines that are points', () => {
  const f = (text, ...want) => assert.deepEqual(read(text), { drops: {}, points: [want] }, text);
  f('cpu usage=1.5 7', 'cpu', {}, { usage: 1.5 }, 7n, 'f');
  f('cpu,b=2,a=1 usage=1e3 -7\r\n', 'cpu', { a: '1', b: '2' }, { usage: 1000 }, -7n, 'f');
  f('\n# a comment\n  cpu n=-3i,u=3u,yes=T,no=false,s="a \\"b\\\\ \\n" 7', 'cpu', {}, { n: -3, no: false, s: 'a "b\\ \n', u: 3, yes: true }, 7n, 'ibsub');
  f('a=b\\,c\\ d,k\\=ey=v\\,al f\\ 1=.5', 'a=b,c d', { 'k=ey': 'v,al' }, { 'f 1': 0.5 }, STORED / 1000n * 1000n, 'f');
  f('s n=9223372036854775807i,u=18446744073709551615u 1', 's', {}, { n: 2n ** 63n - 1n, u: 2n ** 64n - 1n }, 1n, 'iu');
  f('s v="a, b=c" 1', 's', {}, { v: 'a, b=c' }, 1n, 's');
  f('s v="two\nlines" 1', 's', {}, { v: 'two\nlines' }, 1n, 's');
});

test('lines that are not, and those beside them', () => {
  const f = (text, drops) => {
    const got = read(`good a=1 1\n${text}\ngood a=2 2\n`);
    assert.deepEqual(got.drops, drops, text);
    assert.deepEqual(got.points.map(([, , fields]) => fields.a), [1, 2], text);
  };
  for (const text of ['cpu', 'cpu usage', 'cpu usage=', 'cpu usage=x', 'cpu,a usage=1', 'cpu,a= usage=1', ',a=1 usage=1', 'cpu,a=1,a=2 usage=1', 'cpu a=1,a=2',
    'cpu usage=1 x', 'cpu usage=1 1 1', 'cpu usage=1i5', 'cpu usage="open', 'cpu us\u0001age=1', `${'x'.repeat(256)} a=1`, 'cpu \xff=1',
    `cpu ${Array.from({ length: 257 }, (_, i) => `f${i}=1`).join()}`]) f(text, { line: 1 });
  f('cpu usage=NaN', { nan: 1, no_fields: 1 });
  f('cpu usage=1e999', { nan: 1, no_fields: 1 });
  f('cpu usage=9223372036854775808i', { int_range: 1, no_fields: 1 });
  f('cpu usage=-1u', { int_range: 1, no_fields: 1 });
  f('cpu usage=1 9223372036854775808', { time_range: 1 });
  f(`cpu usage="${'x'.repeat(65536)}"`, { too_long: 1, no_fields: 1 });
});

test('the unit of times', () => {
  const f = (precision, want) => assert.equal(read('cpu usage=1 7', `text/x-influx; precision=${precision}`).points[0][3], want);
  f('ns', 7n);
  f('us', 7000n);
  f('"ms"', 7000000n);
  f('s', 7000000000n);
  assert.throws(() => read('cpu usage=1', 'text/x-influx; precision=m'), { code: 'content_type' });
  assert.deepEqual(read('cpu usage=1 9223372036854775807', 'text/x-influx; precision=s').drops, { time_range: 1 });
});
