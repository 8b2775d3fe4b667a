import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decode } from '../lib/decode.mjs';
import { Source } from '../lib/source.mjs';
import { PATIENCE, TestBus, cleanup, consumer, consumerInfo, put, settled, silent, until } from './lab.mjs';

function sourceOf(t, bus, options = {}) {
  const source = new Source(bus, { stream: 'METRICS', durable: 'd', log: silent, ...options });
  cleanup(t, () => source.close());
  return source;
}

/** numberOf is what put has written into a batch of one point. */
const numberOf = (d) => decode(d.body, { contentType: d.contentType }).groups[0].values('n')[0];
const upTo = (n) => Array.from({ length: n }, (_, i) => i);

test('all that is stored comes in its order, and what is settled does not come again', { timeout: PATIENCE }, async (t) => {
  const server = await TestBus.start(t);
  const nc = await server.connect(t);
  await consumer(nc, 'd');
  await put(nc, { batches: 150 });
  const source = sourceOf(t, await server.client(t));
  const got = [];
  for (let i = 0; i < 150; i++) {
    const d = await source.next();
    got.push(numberOf(d));
    assert.deepEqual([d.seq, d.deliveries, d.subject, d.id], [i + 1, 1, 'pw.metrics.h.put', `h/put/0/${i}`]);
    d.ack();
    d.ack(); // the second one counts for nothing
  }
  assert.deepEqual(got, upTo(150));
  await source.flush();
  const info = await settled(nc, 'd');
  assert.equal(info.ack_floor.stream_seq, 150);
  assert.equal(info.num_redelivered, 0);
});

test('what is given back comes again', { timeout: PATIENCE }, async (t) => {
  const server = await TestBus.start(t);
  const nc = await server.connect(t);
  await consumer(nc, 'd');
  await put(nc, {});
  const source = sourceOf(t, await server.client(t));
  (await source.next()).nak();
  (await source.next()).nak(50);
  const third = await source.next();
  assert.deepEqual([third.seq, third.deliveries], [1, 3]);
  third.ack();
  await source.flush();
  await settled(nc, 'd');
});

test('a source that stops leaves to others at once what it has not given out', { timeout: PATIENCE }, async (t) => {
  const server = await TestBus.start(t);
  const nc = await server.connect(t);
  await consumer(nc, 'd'); // what nobody gives back would come again in ten minutes
  await put(nc, { batches: 20 });
  const first = sourceOf(t, await server.client(t));
  const held = await first.next();
  await until('it has fetched more', () => first.ready > 0);
  await first.stop();
  assert.equal(await first.next(), null);
  const second = sourceOf(t, await server.client(t));
  const seqs = [];
  while (seqs.length < 19) {
    const d = await second.next();
    seqs.push(d.seq);
    d.ack();
  }
  assert.deepEqual(seqs.sort((a, b) => a - b), upTo(20).slice(1).map((i) => i + 1));
  held.ack(); // what it has given out can still be settled
  await first.flush();
  await second.flush();
  await settled(nc, 'd');
});

test('a bus that dies under way: each message is given, and settled by its first ack', { timeout: PATIENCE }, async (t) => {
  const server = await TestBus.start(t);
  const nc = await server.connect(t);
  await consumer(nc, 'd', { wait: 2 });
  await put(nc, { batches: 60 });
  const source = sourceOf(t, await server.client(t));
  const seen = new Map();
  let back;
  while (seen.size < 60) {
    const d = await source.next();
    seen.set(d.seq, (seen.get(d.seq) ?? 0) + 1);
    if (seen.size === 20) back = server.kill().then(() => server.start());
    d.ack();
  }
  await back;
  await settled(nc, 'd');
  assert.deepEqual([...seen.values()].filter((n) => n !== 1), [], 'a message that was settled here is not given again');
  await source.flush();
});

test('what lies behind the end of an input is not given', { timeout: PATIENCE }, async (t) => {
  const server = await TestBus.start(t);
  const nc = await server.connect(t);
  await consumer(nc, 'd');
  await put(nc, { batches: 5 });
  const source = sourceOf(t, await server.client(t), { end: 3 });
  for (const want of [1, 2, 3]) {
    const d = await source.next();
    assert.equal(d.seq, want);
    d.ack();
  }
  const none = source.next();
  await until('the rest is settled too', async () => (await consumerInfo(nc, 'd')).ack_floor.stream_seq === 5);
  await source.stop();
  assert.equal(await none, null);
});

test('who may not read is told so', { timeout: PATIENCE }, async (t) => {
  const server = await TestBus.start(t, '--user', 'collector/h/p');
  const source = sourceOf(t, await server.client(t));
  await assert.rejects(source.next(), { denied: true, message: /^read d of METRICS: / });
});
