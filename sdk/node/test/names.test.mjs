import assert from 'node:assert/strict';
import { test } from 'node:test';
import { After, Denied, Permanent, oneLine, pauseOf } from '../lib/errors.mjs';
import { derivedID, sourceOf, token, untoken, user } from '../lib/names.mjs';

test('names on the bus', () => {
  const f = (name, want) => {
    assert.equal(token(name), want);
    if (!want.includes('==')) assert.equal(untoken(want), name);
  };
  f('web-1', 'web-1');
  f('', '=');
  f('web 1.example', 'web=201=2Eexample');
  f('größe', 'gr=C3=B6=C3=9Fe');
  f('a.very.long.name.of.a.machine.that.somebody.has.given.it', 'a=2Every=2Elong=2Ename=2Eof=2Ea=2Emachine=2Ethat==0452a1436d9a');
  assert.equal(user('rack_7', 'agent'), 'rack=5F7_agent');
  assert.deepEqual(sourceOf('pw.metrics.web=201.cpu'), { host: 'web 1', plugin: 'cpu' });
  assert.deepEqual(sourceOf('pw.events.h.p.down'), { host: 'h', plugin: 'p' });
  for (const subject of ['pw.metrics.h', 'pw.metrics.h.p.x', 'pw.dead.p', 'pw.metrics.h.a=2g', 'other.metrics.h.p']) assert.throws(() => sourceOf(subject), subject);
  assert.deepEqual([derivedID('a/1', 'p q', 1), derivedID('a/1', 'p', 2)], ['a/1+p=20q', 'a/1+p.2']);
});

test('pauses grow, have a limit, and heed what an error asks', () => {
  const f = (err, attempt, most) => {
    const ms = pauseOf(err, attempt);
    assert.ok(ms <= most && ms >= most / 2, `${ms} of ${most}`);
  };
  f(new Error('x'), 1, 1000);
  f(new Error('x'), 3, 4000);
  f(new Error('x'), 100, 60_000);
  f(new Denied('x'), 1, 30_000);
  f(new Denied('x'), 100, 300_000);
  assert.equal(pauseOf(new After('busy', 7), 9), 7);
  assert.equal(new Permanent(new Error('why')).message, 'why');
  assert.equal(oneLine('a\r\n  b\n\n' + 'c'.repeat(300)).length, 203);
});
