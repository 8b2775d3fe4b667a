import assert from 'node:assert/strict';
import { readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Suspects, letterKey, letterOf } from '../lib/letters.mjs';
import { folder, silent } from './lab.mjs';

test('what a process died of is known to the next one', (t) => {
  const dir = folder(t);
  const seen = (place) => new Suspects(dir).deaths(place);
  const s = new Suspects(dir);
  s.begin('METRICS/1');
  assert.deepEqual([seen('METRICS/1'), seen('METRICS/2')], [1, 0]);
  const next = new Suspects(dir);
  next.begin('METRICS/1');
  assert.equal(seen('METRICS/1'), 2);
  next.end('METRICS/1');
  assert.deepEqual(readdirSync(dir), [], 'nothing is suspected any more');
  writeFileSync(join(dir, 'suspects.json'), '{"deaths":');
  assert.equal(seen('METRICS/1'), 0, 'a torn note is none');
});

test('a letter that is written twice has one id, which others cannot guess', (t) => {
  const dir = join(folder(t), 'state');
  const key = letterKey(dir, silent);
  assert.deepEqual(letterKey(dir, silent), key);
  assert.equal(statSync(join(dir, 'letters.key')).mode & 0o777, 0o600);
  const d = { source: { durable: 'd' }, seq: 7, subject: 'pw.metrics.h.p', stored: 1763559525997744692n, deliveries: 2, id: 'h/p/1', contentType: 'text/x-influx', contentEncoding: '' };
  const f = (more) => letterOf(d, { key, plugin: 'p', body: Buffer.from('x'), code: 'rejected', reason: 'no\nway', ...more });
  const letter = f({});
  assert.equal(letter.id, f({}).id);
  for (const other of [{ body: Buffer.from('y') }, { plugin: 'q' }, { key: Buffer.alloc(32) }, { part: 1 }]) assert.notEqual(f(other).id, letter.id);
  assert.match(f({ key: null }).id, /^dead\/d\/7\/[0-9a-f]{32}$/);
  assert.deepEqual([letter.headers['Pw-Error'], letter.headers['Pw-Stored'], letter.contentType], ['no; way', '2025-11-19T13:38:45.997744692Z', 'text/x-influx']);
  writeFileSync(join(dir, 'file'), '');
  assert.equal(letterKey(join(dir, 'file'), silent), null, 'where it cannot be kept');
});
