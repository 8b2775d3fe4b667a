import assert from 'node:assert/strict';
import { test } from 'node:test';
import { headers } from '@nats-io/transport-node';
import { Sink } from '../lib/sink.mjs';
import { PATIENCE, TestBus, api, cleanup, silent, stored, until } from './lab.mjs';

const SUBJECT = 'pw.metrics.h.p';

function sinkOf(t, bus, options = {}) {
  const sink = new Sink(bus, { host: 'h', plugin: 'p', log: silent, ...options });
  cleanup(t, () => sink.close());
  return sink;
}

const message = (i, more = {}) => ({ subject: SUBJECT, body: Buffer.from(`body ${i}`), contentType: 'text/plain', ...more });

test('what is sent is stored, in its order and under ids without holes', { timeout: PATIENCE }, async (t) => {
  const server = await TestBus.start(t);
  const sink = sinkOf(t, await server.client(t));
  const seqs = [];
  for (let i = 1; i <= 600; i++) seqs.push((await sink.send(message(i))).stored);
  assert.deepEqual(await Promise.all(seqs), Array.from({ length: 600 }, (_, i) => i + 1));
  const all = await stored(await server.connect(t));
  assert.deepEqual(all.map((m) => m.headers['Nats-Msg-Id']), all.map((_, i) => `h/p/${sink.boot}/${i + 1}`));
  assert.deepEqual([all[0].headers['Content-Type'], String(all[599].data)], ['text/plain', 'body 600']);
  assert.deepEqual([sink.inFlight, sink.bytes, sink.state], [0, 0, 'ok']);
});

test('a bus that dies under way loses and doubles nothing', { timeout: PATIENCE }, async (t) => {
  const server = await TestBus.start(t);
  const states = [];
  const sink = sinkOf(t, await server.client(t), { maxMessages: 20, onState: (state) => states.push(state) });
  const waits = [];
  let back;
  for (let i = 0; i < 300; i++) {
    if (i === 100) back = server.kill().then(() => server.start()); // with about twenty under way
    waits.push((await sink.send(message(i))).stored);
  }
  await Promise.all([back, ...waits]);
  const bodies = (await stored(await server.connect(t))).map((m) => String(m.data));
  assert.deepEqual(bodies, Array.from({ length: 300 }, (_, i) => `body ${i}`));
  assert.deepEqual(states, ['disconnected', 'ok']);
});

test('its window is bounded in messages and in bytes', { timeout: PATIENCE }, async (t) => {
  const server = await TestBus.start(t);
  const bus = await server.client(t);
  await server.kill();
  await until('the bus is away', () => !bus.up);
  const f = async (options, fits) => {
    const sink = sinkOf(t, bus, options);
    const sends = Array.from({ length: 10 }, (_, i) => sink.send(message(i)));
    await sends[fits - 1];
    await new Promise(setImmediate);
    assert.equal(sink.inFlight, fits);
    sink.close();
    const refused = await Promise.allSettled(sends.map((s) => s.then(({ stored: kept }) => kept)));
    assert.ok(refused.every((r) => r.reason?.code === 'closed'), 'what waits is given up when it is closed');
  };
  await f({ maxMessages: 3 }, 3);
  await f({ maxBytes: 1200 }, 4);
  await f({ maxBytes: 1 }, 1); // the first goes whatever its size
});

test('what the bus will never take is refused', { timeout: PATIENCE }, async (t) => {
  const server = await TestBus.start(t, '--user', 'collector/h/p');
  const sink = sinkOf(t, await server.client(t));
  await assert.rejects(sink.send(message(0, { body: Buffer.alloc(2 << 20) })), { code: 'too_large' });
  const { stored: kept } = await sink.send(message(1, { subject: 'pw.metrics.other.p' }));
  await assert.rejects(kept, { code: 'denied' });
  assert.equal(sink.state, 'denied');
  assert.equal(await (await sink.send(message(2))).stored, 1);
  assert.equal(sink.state, 'ok');
  assert.equal(sink.stats.refused, 1);
});

test('an id that somebody else has used is left to him', { timeout: PATIENCE }, async (t) => {
  const server = await TestBus.start(t);
  const nc = await server.connect(t);
  const sink = sinkOf(t, await server.client(t));
  const stolen = headers();
  stolen.set('Nats-Msg-Id', `h/p/${sink.boot}/1`);
  await nc.request(SUBJECT, 'the thief', { headers: stolen, timeout: PATIENCE });
  assert.equal(await (await sink.send(message(7))).stored, 2);
  assert.deepEqual((await stored(nc)).map((m) => String(m.data)), ['the thief', 'body 7']);
  assert.equal(await (await sink.send(message(8, { id: 'given' }))).stored, 3);
  assert.equal(await (await sink.send(message(8, { id: 'given' }))).stored, 3, 'an id of the caller: it is there already');
});

test('where there is no stream it waits for one', { timeout: PATIENCE }, async (t) => {
  const server = await TestBus.start(t);
  const nc = await server.connect(t);
  const sink = sinkOf(t, await server.client(t));
  const { stored: kept } = await sink.send(message(1, { subject: 'else.where' }));
  await until('it says that there is no stream', () => sink.state === 'no_stream');
  await api(nc, 'STREAM.CREATE.ELSE', { name: 'ELSE', subjects: ['else.>'], storage: 'memory' });
  assert.equal(await kept, 1);
  await sink.flush();
  assert.equal(sink.state, 'ok');
});
