import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { decode } from '../lib/decode.mjs';
import { stringify } from '../lib/json.mjs';

const dir = new URL('../../../schemas/testdata/batch/', import.meta.url);
const read = (name) => readFileSync(new URL(name, dir));
const cases = JSON.parse(read('cases.json'));
const contentType = (name) => (name.endsWith('.json') ? 'application/json' : 'application/x-pacewire+msgpack');

/** sorted returns points as text that two ways to the same points share. */
export function sorted(batch) {
  return [...batch.points()].map((p) => stringify({
    series: p.series, time: p.time, tags: entries(p.tags), types: entries(p.types), fields: entries(p.fields),
  })).sort();
}

const entries = (map) => Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1));

for (const { name, forms, drops } of cases.valid) {
  for (const form of forms) {
    test(`golden batch ${name}.${form}`, () => {
      const want = sorted(decode(read(`valid/${name}.points.json`), { contentType: 'application/json' }));
      const b = decode(read(`valid/${name}.${form}`), { contentType: contentType(`.${form}`) });
      assert.deepEqual(b.drops, drops);
      assert.deepEqual(sorted(b), want);
      assert.deepEqual(sorted(decode(read(`valid/${name}.${form}`))), want, 'without a Content-Type');
      assert.deepEqual(sorted(decode(decode(read(`valid/${name}.${form}`)).encode())), want, 'passed on as it came');
      const changed = decode(read(`valid/${name}.${form}`));
      for (const g of changed.groups) g.changed();
      assert.deepEqual(sorted(decode(changed.encode())), want, 'encoded anew');
      const apart = decode(read(`valid/${name}.${form}`));
      apart.groups.forEach((g) => { g.load().leave('none'); });
      assert.deepEqual(sorted(decode(apart.encode())), want, 'with times of its own');
    });
  }
}

for (const { file, code } of cases.invalid) {
  test(`golden batch that is refused: ${file}`, () => {
    assert.throws(() => decode(read(`invalid/${file}`), { contentType: contentType(file) }), (err) => {
      assert.equal(err.code, code, err.message);
      return true;
    });
  });
}

test('every prefix of a batch is truncated, no bytes are empty', () => {
  const whole = read('valid/minimal.msgpack');
  for (let n = 1; n < whole.length; n++) assert.throws(() => decode(whole.subarray(0, n), { contentType: contentType('') }), { code: 'truncated' });
  assert.throws(() => decode(whole.subarray(0, 0)), { code: 'empty' });
});
