import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Agent, Child, PATIENCE, TestBus, stored, until } from './lab.mjs';

const LOAD = '../examples/load.mjs';

/** begin returns a collector that runs with settings, each 100 ms. */
async function begin(t, { offer = true } = {}) {
  const bus = await TestBus.start(t);
  const agent = await Agent.start(t, bus);
  if (offer) agent.offer(1, { site: 'lab' }, { every_ms: 100, tags: { dc: 'eu' } });
  const child = new Child(t, bus, LOAD);
  if (offer) await agent.beat('that it runs', (b) => b.state === 'running' && b.cfg_rev === 1);
  return { bus, agent, child };
}

test('hello, work, drain, goodbye', { timeout: PATIENCE }, async (t) => {
  const { agent, child } = await begin(t);
  const [hello] = agent.beats;
  assert.equal(hello.hello, true);
  assert.deepEqual([hello.host, hello.plugin, hello.seq, hello.state], ['h', 'p', 1, 'starting']);
  assert.deepEqual([hello.manifest.kind, hello.manifest.program, hello.manifest.api, hello.manifest.live], ['collector', 'load', 1, true]);
  assert.equal(agent.beats.at(-1).hello, undefined);
  const nc = agent.nc;
  await until('points are stored', async () => (await stored(nc)).length > 2);
  assert.equal((await agent.ask('ping')).ok, true);
  assert.deepEqual((await agent.ask('dance')).error.code, 'not_found');
  const { payload } = await agent.ask('refresh', { want: ['*'] });
  assert.deepEqual(payload.inv_list.map((item) => item.slice(0, 2)), [['p', 'manifest']]);
  assert.equal((await agent.ask('drain', { args: { reason: 'upgrade' } })).ok, true);
  assert.equal(await child.exit, 0, child.said);
  const last = await agent.goodbye();
  assert.deepEqual([last.bye, last.state], ['upgrade', 'draining']);
  const n = (await stored(nc)).length;
  assert.equal(last.stats.batches_out, n, 'what it says is what is stored');
});

test('a config that cannot be used is refused, and the one before stays in force', { timeout: PATIENCE }, async (t) => {
  const { agent } = await begin(t, { offer: false });
  agent.offer(1, { site: 7, sites: 'x' }, { every_ms: 100 });
  const first = await agent.beat('that it has failed', (b) => b.state === 'failed');
  assert.equal(first.err.code, 'config_invalid');
  assert.match(first.err.message, /site: want string, not number; sites: no such setting/);
  assert.equal(first.cfg_rev, undefined);
  agent.offer(2, { site: 'a' }, { every_ms: 100 });
  await agent.beat('that it runs', (b) => b.state === 'running' && b.cfg_rev === 2);
  agent.offer(3, { site: null }, { every_ms: 100 });
  const third = await agent.beat('that the third is refused', (b) => b.err?.code === 'config_invalid' && b.err.message.includes('null'));
  assert.deepEqual([third.cfg_rev, third.state], [2, 'running']);
  const ticks = third.stats.ticks ?? 0;
  await agent.beat('that it still works', (b) => b.stats.ticks > ticks + 3);
  agent.offer(4, { site: 'b' }, { every_ms: 100 });
  await agent.beat('that the fourth is in force', (b) => b.state === 'running' && b.cfg_rev === 4);
});

test('a plugin that its agent refuses ends', { timeout: PATIENCE }, async (t) => {
  const bus = await TestBus.start(t);
  const agent = await Agent.start(t, bus);
  agent.always = { state: 'refused', reason: 'name_taken: another process beats under this name' };
  const child = new Child(t, bus, LOAD);
  assert.equal(await child.exit, 78);
  assert.match(child.said, /refused by the agent: name_taken/);
});

test('held, it is ready and does nothing until it may', { timeout: PATIENCE }, async (t) => {
  const bus = await TestBus.start(t);
  const agent = await Agent.start(t, bus);
  agent.always = { flags: ['hold'] };
  agent.offer(1, {}, { every_ms: 100 });
  new Child(t, bus, LOAD);
  const held = await agent.beat('that it is ready', (b) => b.state === 'ready');
  assert.deepEqual(held.flags, ['exclusive']);
  await agent.beat('that it still is', (b) => b.state === 'ready' && b.seq > held.seq);
  assert.deepEqual(await stored(agent.nc), []);
  agent.always = {};
  const runs = await agent.beat('that it runs', (b) => b.state === 'running');
  assert.equal(runs.flags, undefined);
});

test('it ends with its agent, and by a signal', { timeout: PATIENCE }, async (t) => {
  const { agent, bus, child } = await begin(t);
  child.process.stdin.end();
  assert.equal(await child.exit, 0, child.said);
  assert.match(child.said, /agent is gone/);
  assert.equal((await agent.goodbye()).bye, 'shutdown');
  const other = new Child(t, bus, LOAD);
  await agent.beat('of the other one', (b) => b.state === 'running');
  assert.equal(await other.kill('SIGTERM'), 0, other.said);
});

test('it obeys its agent alone', { timeout: PATIENCE }, async (t) => {
  const { agent, bus, child } = await begin(t);
  const stranger = await bus.connect(t);
  stranger.publish('pw.ctl.h.p.drain', JSON.stringify({ id: '1' }), { reply: '_INBOX_x_agent.1' });
  stranger.publish('pw.ctl.h.p.drain', JSON.stringify({ id: '1' }));
  stranger.publish('pw.ctl.h.p.drain', JSON.stringify({ id: '1', args: { inst: 'another' } }), { reply: '_INBOX_h_agent.1' });
  stranger.publish('pw.ctl.h.p.drain', 'nonsense', { reply: '_INBOX_h_agent.1' });
  await stranger.flush();
  assert.equal((await agent.ask('ping')).ok, true); // behind them
  const beat = await agent.beat('that one could not be read', (b) => b.stats.errors?.request === 1);
  assert.deepEqual([beat.state, beat.bye], ['running', undefined]);
  assert.equal(child.process.exitCode, null);
});

test('a bus that is away: it works on, and what it has made arrives', { timeout: PATIENCE }, async (t) => {
  const { agent, bus } = await begin(t);
  await until('points are stored', async () => (await stored(agent.nc)).length > 2);
  await bus.kill();
  await bus.start();
  const { inst, seq, stats } = await agent.beat('after the restart', (b) => b.state === 'running');
  assert.equal(inst, agent.beats[0].inst, 'it is the same process');
  assert.ok(seq > 2n && stats.ticks > 2);
  const beat = await agent.beat('that nothing waits', (b) => b.stats.batches_out > stats.batches_out && !b.stats.queue);
  assert.equal(beat.stats.dropped, undefined);
  const ids = (await stored(agent.nc)).map((m) => Number(m.headers['Nats-Msg-Id'].split('/').at(-1)));
  assert.deepEqual(ids, ids.map((_, i) => i + 1), 'without holes, and in order');
});
