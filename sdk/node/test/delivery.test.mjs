import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { decode } from '../lib/decode.mjs';
import { Agent, Child, PATIENCE, TestBus, consumer, consumerInfo, folder, put, settled, stored, until } from './lab.mjs';

const upTo = (n) => Array.from({ length: n }, (_, i) => i);

/** A Scene is a publisher that notes what it is given, with its bus and its agent. */
class Scene {
  static async start(t, does, { wait } = {}) {
    const scene = new Scene();
    scene.t = t;
    scene.bus = await TestBus.start(t);
    scene.agent = await Agent.start(t, scene.bus);
    scene.nc = scene.agent.nc;
    scene.dir = folder(t);
    scene.path = join(scene.dir, 'notes');
    await consumer(scene.nc, 'd', { wait });
    scene.offer(1, does);
    return scene;
  }

  offer(rev, does) { this.agent.offer(rev, { path: this.path, does }, { inputs: [{ stream: 'METRICS', durable: 'd' }] }); }

  run() { return new Child(this.t, this.bus, 'plugins/note.mjs', { dir: this.dir }); }

  /** notes returns the numbers of the lines that begin with a word. */
  notes(word) {
    const lines = existsSync(this.path) ? readFileSync(this.path, 'utf8').split('\n') : [];
    return lines.filter((line) => line.startsWith(word + ' ')).flatMap((line) => line.split(' ').slice(1).map(Number));
  }

  async dead() { return stored(this.nc, 'DEAD'); }
}

test('kill -9: what was in hand comes to the next process', { timeout: PATIENCE }, async (t) => {
  const s = await Scene.start(t, 'hold', { wait: 2 });
  await put(s.nc, { batches: 30 });
  const first = s.run();
  await until('it has something in hand', () => s.notes('begin').length > 0);
  await first.kill();
  assert.deepEqual(s.notes('end'), []);
  s.offer(2, '');
  s.run();
  await settled(s.nc, 'd');
  assert.deepEqual([...new Set(s.notes('end'))].sort((a, b) => a - b), upTo(30));
  assert.deepEqual(await s.dead(), []);
});

test('a batch that kills each time is set aside', { timeout: PATIENCE }, async (t) => {
  const s = await Scene.start(t, 'die', { wait: 0.5 });
  await put(s.nc, { size: 3 });
  let runs = 0;
  for (let child = s.run(); (await s.dead()).length === 0; runs++) {
    await Promise.race([child.exit, until('it is set aside', async () => (await s.dead()).length > 0)]);
    if (child.process.signalCode) child = s.run();
  }
  const [letter] = await s.dead();
  assert.equal(letter.headers['Pw-Reason'], 'crash');
  assert.equal(letter.subject, 'pw.dead.p');
  assert.ok(runs >= 5, `after ${runs} deaths`);
  assert.equal(decode(letter.data).length, 3);
});

test('what a sink refuses for good is set aside, and the rest delivered', { timeout: PATIENCE }, async (t) => {
  const s = await Scene.start(t, 'refuse');
  await put(s.nc, { batches: 20 });
  const child = s.run();
  await settled(s.nc, 'd');
  assert.deepEqual([...s.notes('end')].sort((a, b) => a - b), upTo(20).filter((n) => n !== 13));
  const letters = await s.dead();
  assert.equal(letters.length, 1);
  const { headers: h } = letters[0];
  assert.deepEqual([h['Pw-Reason'], h['Pw-Error'], h['Pw-Subject'], h['Pw-Stream-Seq'], h['Pw-Source-Id']],
    ['rejected', '13 brings bad luck', 'pw.metrics.h.put', '14', 'h/put/0/13']);
  assert.match(h['Nats-Msg-Id'], /^dead\/d\/14\/[0-9a-f]{32}$/);
  assert.equal(child.process.exitCode, null, child.said);
});

test('what is too large is halved until it fits; a point that does not is set aside alone', { timeout: PATIENCE }, async (t) => {
  const s = await Scene.start(t, 'large');
  await put(s.nc, { size: 20 });
  s.run();
  await settled(s.nc, 'd');
  assert.deepEqual(s.notes('end'), upTo(20).filter((n) => n !== 13));
  const [letter, ...more] = await s.dead();
  assert.deepEqual(more, []);
  assert.equal(letter.headers['Pw-Reason'], 'too_large');
  assert.deepEqual(Array.from(decode(letter.data).groups[0].values('n')), [13]);
});

test('any other error: the same batch again, and nothing is set aside', { timeout: PATIENCE }, async (t) => {
  const s = await Scene.start(t, 'twice');
  await put(s.nc, { size: 2 });
  s.run();
  const beat = await s.agent.beat('that calls fail', (b) => b.flags?.includes('failing'));
  assert.match(beat.err.message, /^trouble /);
  await settled(s.nc, 'd');
  assert.deepEqual(s.notes('end'), [0, 1]);
  assert.deepEqual(s.notes('begin'), [0, 1, 0, 1, 0, 1]);
  await s.agent.beat('that they do no more', (b) => !b.flags?.includes('failing'));
  assert.deepEqual(await s.dead(), []);
});

test('drain: what is in hand is finished and settled, the rest is given back', { timeout: PATIENCE }, async (t) => {
  const s = await Scene.start(t, 'slow');
  await put(s.nc, { batches: 100, size: 500 }); // more than one call takes
  const child = s.run();
  await until('it has something in hand', () => s.notes('begin').length > 0);
  assert.equal((await s.agent.ask('drain', { args: { reason: 'upgrade' } })).ok, true);
  assert.equal(await child.exit, 0, child.said);
  assert.equal((await s.agent.goodbye()).bye, 'upgrade');
  const done = s.notes('end');
  assert.deepEqual(done, s.notes('begin'));
  const info = await consumerInfo(s.nc, 'd');
  assert.equal(info.ack_floor.stream_seq, done.length / 500, 'as many batches are settled as were noted');
  s.offer(2, '');
  s.run();
  await settled(s.nc, 'd'); // ten minutes before what was not given back would come again
  assert.equal(new Set(s.notes('end')).size, 50_000);
  assert.equal(s.notes('end').length, 50_000);
});
