import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Pulse } from '../lib/pulse.mjs';

const WALL = 1763559525000000000n;
const near = (got, want) => assert.ok(got >= want * 0.95 - 1 && got <= want * 1.05 + 1, `${got}, about ${want}`);

test('a pulse greets until it is answered, and then beats as it is told', () => {
  const p = new Pulse({ now: 0 });
  let at = 0;
  for (const wait of [1000, 2000, 4000, 8000, 10_000, 10_000]) {
    const sent = at;
    assert.equal(p.beat(at, WALL).hello, true);
    p.miss(at + 900);
    near(p.due - sent, wait);
    at = p.due;
  }
  assert.deepEqual([p.lost, p.unwatched], [6, false]);
  const { seq } = p.beat(at, WALL);
  assert.equal(p.obey({ seq, srv: 'a', term: 3, state: 'accepted', next_ms: 2000, inv: 'd' }, at + 10), true);
  near(p.due - at, 2000);
  const next = p.beat(p.due, WALL);
  assert.deepEqual([next.hello, next.seq, next.ack, next.int_ms, next.ack_lost], [undefined, seq + 1, seq, 2000, 6]);
  assert.deepEqual([p.lists('d'), p.lists('other')], [false, true]);
});

test('an answer that does not belong to the last beat changes nothing', () => {
  const p = new Pulse({ now: 0 });
  const f = (ack, now) => p.obey({ srv: 'a', state: 'accepted', term: 5, next_ms: 1000, inv: '', ...ack }, now);
  p.beat(0, WALL);
  assert.equal(f({ seq: 1 }, 5), true);
  p.beat(1000, WALL);
  assert.equal(f({ seq: 1, next_ms: 9000 }, 1005), false, 'of the beat before');
  p.beat(2000, WALL);
  assert.equal(f({ seq: 3, term: 4, next_ms: 9000 }, 2005), false, 'of a watcher who has lost his post');
  assert.equal(p.interval, 1000);
  p.beat(9000, WALL);
  assert.equal(f({ seq: 4, term: 4 }, 9005), true, 'when the other is silent it is heard after all');
  assert.equal(f({ seq: 4, term: 5 }, 9006), false, 'twice');
});

test('news is told soon, and not more than once a second', () => {
  const p = new Pulse({ now: 0 });
  p.beat(0, WALL);
  p.obey({ seq: 1, srv: 'a', state: 'accepted', next_ms: 60_000, inv: '' }, 1);
  p.hasten(100);
  assert.equal(p.due, 1000);
  p.beat(5000, WALL);
  p.reconnected(5500);
  assert.ok(p.due >= 5500 && p.due <= 7500);
  p.greetAgain(5600);
  assert.deepEqual([p.due, p.greeted], [5600, false]);
});

test('the clock of the watcher', () => {
  const p = new Pulse({ now: 0 });
  p.beat(0, WALL);
  const there = WALL + 5_000_000_000n; // five seconds ahead; 10 ms there, 2 ms on it, 10 ms back
  p.obey({ seq: 1, srv: 'a', state: 'accepted', inv: '', t2: there + 10_000_000n, t3: there + 12_000_000n }, 22);
  const { rtt_us: trip, off_us: offset } = p.beat(1000, WALL);
  assert.deepEqual([trip, offset], [20_000, 5_000_000]);
});
