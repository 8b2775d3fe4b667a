import assert from 'node:assert/strict';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { collector, duration, millis, processor, publisher, secret } from '../pacewire.mjs';
import { schemaOf, settingsOf } from '../lib/config.mjs';
import { folder } from './lab.mjs';

test('times', () => {
  const f = (text, want) => assert.equal(millis(text), want, text);
  f('10s', 10_000);
  f('1m30s', 90_000);
  f('1.5h', 5_400_000);
  f('250ms', 250);
  f('5us', 0.005);
  f('-2s', -2000);
  f('0', 0);
  for (const text of ['', '10', 's', '1d', '1s ', '1 s']) assert.throws(() => millis(text), /is no time such as/, text);
});

test('what an operator writes: defaults, faults, all at once', () => {
  const settings = {
    path: { type: 'string', default: '/x', minLength: 1, maxLength: 5, pattern: '^/' },
    n: { type: 'integer', minimum: 1, exclusiveMaximum: 10 },
    mode: { type: 'string', enum: ['a', 'b'], default: 'a' },
    list: { type: 'array', items: { type: 'number' }, maxItems: 2 },
    map: { type: 'object', properties: { k: { type: 'boolean' } }, required: ['k'], additionalProperties: false },
    pause: duration('10s', 'between two'),
  };
  const f = (given, ...faults) => assert.throws(() => settingsOf({ settings }, given), (err) => {
    assert.equal(err.permanent, true);
    assert.deepEqual(faults.filter((fault) => !err.message.includes(fault)), [], err.message);
    return true;
  });
  assert.deepEqual(settingsOf({ settings }), { path: '/x', mode: 'a', pause: '10s' });
  assert.deepEqual(settingsOf({ settings }, { n: 9, list: [1, 2.5], map: { k: true } }),
    { path: '/x', mode: 'a', pause: '10s', n: 9, list: [1, 2.5], map: { k: true } });
  f({ path: '' }, 'path: want at least 1 of length', 'path: "" does not match ^/');
  f({ path: '/long-one' }, 'path: want at most 5 of length');
  f({ n: 0 }, 'n: 0: want at least 1');
  f({ n: 10 }, 'n: 10: want less than 10');
  f({ n: 1.5 }, 'n: want integer, not number');
  f({ mode: 'c', nmae: 1 }, 'mode: "c" is none of "a", "b"', 'nmae: no such setting');
  f({ list: [1, 'x', 2] }, 'list: want at most 2 of length', 'list[1]: want number, not string');
  f({ map: { x: 1 } }, 'map.k: is missing', 'map.x: no such setting');
  f({ map: [] }, 'map: want object, not array');
  f({ path: null }, 'path: want string, not null');
  f({ pause: 'soon' }, `pause: "soon" does not match ${settings.pause.pattern}`);
  assert.throws(() => settingsOf({ settings, validate() { throw new Error('no'); } }, {}), { permanent: true, message: 'no' });
  assert.equal(settingsOf({ settings, validate: () => {} }, {}).path, '/x');
});

test('defaults are given anew each time', () => {
  const settings = { list: { type: 'array', default: [1] } };
  settingsOf({ settings }).list.push(2);
  assert.deepEqual(settingsOf({ settings }).list, [1]);
});

test('a secret may come from a file that not everybody can read', (t) => {
  const settings = { token: secret('of the API') };
  const path = join(folder(t), 'token');
  writeFileSync(path, 'geheim\n', { mode: 0o600 });
  assert.deepEqual(Object.keys(schemaOf(settings).properties), ['token', 'token_file']);
  assert.deepEqual(settingsOf({ settings }, { token_file: path }), { token: 'geheim' });
  assert.deepEqual(settingsOf({ settings }, { token: 'here' }), { token: 'here' });
  const f = (given, message) => assert.throws(() => settingsOf({ settings }, given), { permanent: true, message });
  f({ token: 'a', token_file: path }, /token and token_file: give one of them/);
  f({ token_file: path + '.not' }, /ENOENT/);
  chmodSync(path, 0o644);
  f({ token_file: path }, /can be read by everybody: chmod o-r it/);
});

test('a plugin that is written wrongly does not start', () => {
  const f = (make, message) => assert.throws(make, { message });
  f(() => collector({ collect() {} }), /program: say what it is called/);
  f(() => collector({ program: 'x' }), /want collect\(out, ctx\) or stream/);
  f(() => processor({ program: 'x' }), /want process\(/);
  f(() => publisher({ program: 'x' }), /want publish\(/);
  f(() => publisher({ program: 'x', publish() {}, settings: { every: {} } }), /setting every: the name is reserved/);
  f(() => publisher({ program: 'x', publish() {}, settings: { n: { type: 'integer', default: 'x' } } }), /defaults of x: n: want integer, not string/);
});
