import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Batch } from '../lib/batch.mjs';
import { Counters } from '../lib/counters.mjs';
import { Limits, Queue } from '../lib/queue.mjs';

const ROOM = 1000; // bytes a message takes in these tests
const message = (name) => ({ name, body: Buffer.alloc(ROOM - 512) });

/** A bus that takes a message whenever go is called. */
function slowBus() {
  const taken = [];
  let next = [];
  return {
    taken,
    send: (m) => new Promise((done) => { next.push(() => { taken.push(m.name); done(); }); }),
    go() { for (const take of next.splice(0)) take(); },
    async all() { for (let i = 0; i < 20; i++) { this.go(); await new Promise(setImmediate); } },
  };
}

test('a queue is bounded: who puts waits, or the oldest goes, or the newest', async () => {
  const f = async (overflow, wantTaken, wantDropped) => {
    const bus = slowBus(), dropped = [];
    const q = new Queue((m) => bus.send(m), { onDrop: (m) => dropped.push(m.name) });
    q.shape({ queue_bytes: 3 * ROOM, overflow });
    const puts = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((name) => q.put(message(name)));
    await new Promise(setImmediate);
    assert.ok(q.bytes <= 3 * ROOM, `${q.bytes} bytes`);
    assert.equal(q.length, 3);
    await bus.all();
    await Promise.all(puts);
    await q.flush();
    assert.deepEqual([bus.taken.join(''), dropped.join('')], [wantTaken, wantDropped], overflow);
    assert.deepEqual([q.length, q.bytes], [0, 0]);
  };
  await f('block', 'abcdefg', '');
  await f('drop_oldest', 'aefg', 'bcd'); // the first had left
  await f('drop_new', 'abcd', 'efg');
});

test('points a second, and series at a time', () => {
  const count = new Counters();
  const limits = new Limits();
  const batch = (from, n) => {
    const b = new Batch('h');
    for (let i = from; i < from + n; i++) b.add('s', { v: i }, { k: `${i}` });
    return b;
  };
  const f = (shape, from, n, want) => {
    limits.shape(shape);
    const b = batch(from, n);
    limits.apply(b, count);
    assert.equal(b.length, want);
  };
  f({}, 0, 100, 100);
  f({ max_series: 10 }, 0, 30, 10);
  f({ max_series: 10 }, 0, 30, 10); // the same ones again
  f({ max_series: 10 }, 20, 10, 0);
  f({ max_series: 12 }, 20, 10, 2);
  f({ max_rate: 1e-6 + 5 }, 0, 8, 5);
  assert.deepEqual(count.dropped, { series_limit: 58, dropped_flood: 3 });
  assert.deepEqual(count.flags(), ['series_limit', 'dropped_flood']);
});

test('counters: what is told of calls, errors and losses', () => {
  const told = [];
  const count = new Counters({ onLoss: (event, text) => told.push([event, text.split(':')[0]]) });
  for (const ms of [1, 1, 1, 1, 1, 1, 1, 1, 1, 100]) count.call(ms);
  count.fail('error', new Error('one\n  two'));
  count.drop('overflow', 3);
  count.drop('overflow', 4);
  count.drop('nan', 0);
  const stats = count.stats({ queue: 0, resent: 2 });
  assert.deepEqual([stats.calls, stats.call_max_us, stats.errors, stats.dropped, stats.queue, stats.resent], [10, 100_000, { error: 1 }, { overflow: 7 }, undefined, 2]);
  assert.ok(stats.call_p50_us >= 1000 && stats.call_p50_us < 1300, `${stats.call_p50_us}`);
  assert.equal(stats.call_p99_us, 100_000);
  assert.deepEqual([count.fault().code, count.fault().message], ['error', 'one; two']);
  assert.deepEqual(told, [['overflow', '3 points were dropped']], 'once a minute');
});
