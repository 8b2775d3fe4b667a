import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { decode } from '../lib/decode.mjs';
import { PATIENCE, at, folder } from './lab.mjs';

/** run runs an example as a person does, without an agent. */
function run(name, args = [], { input = '', env = {} } = {}) {
  const program = at(`../examples/${name}.mjs`);
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
    input, encoding: 'utf8', timeout: PATIENCE, env: { PATH: process.env.PATH, PACEWIRE_HOST: 'h', ...env },
  });
  return { status, stdout, stderr };
}

const pointsOf = (text) => [...decode(Buffer.from(text), { contentType: 'application/json' }).points()];

test('without arguments a plugin tells what it is, and tries itself', () => {
  const f = (name, ...wanted) => {
    const { status, stdout, stderr } = run(name);
    assert.equal(status, 0, stderr);
    for (const want of ['\nsettings\n', '\nemits\n', '\ntimings\n', '\nnext\n', ...wanted]) assert.ok(stdout.includes(want), `${want} in\n${stdout}`);
    assert.ok(stdout.split('\n').every((line) => line.length <= 240), stdout);
  };
  f('load', 'load 1.0.0, a collector\n', 'sample: one collection\n', 'load15=');
  f('scale', 'scale 1.0.0, a processor\n', 'usage=93.5', '  ->\n', 'usage=0.935');
  f('append', 'append 1.0.0, a publisher\n', 'nothing was published');
});

test('diagnostics fail where the plugin does', (t) => {
  const path = join(folder(t), 'no', 'such');
  const { status, stdout } = run('append', ['--config', JSON.stringify({ path })]);
  assert.equal(status, 1);
  assert.match(stdout, /failed: ENOENT/);
});

test('--once: a collector speaks in lines that the others read', (t) => {
  const load = run('load', ['--once', '--config', '{"site":"lab"}']);
  assert.equal(load.status, 0, load.stderr);
  const [point, ...more] = pointsOf(load.stdout);
  assert.deepEqual([point.series, more], ['load', []]);
  assert.deepEqual({ ...point.tags }, { host: 'h', site: 'lab' });

  const half = run('scale', ['--once', '--config', '{"field":"load1","by":0.5}'], { input: load.stdout });
  assert.equal(half.status, 0, half.stderr);
  assert.equal(pointsOf(half.stdout)[0].fields.load1, point.fields.load1 / 2);

  const path = join(folder(t), 'points');
  const append = run('append', ['--once', '--config', JSON.stringify({ path })], { input: half.stdout });
  assert.deepEqual([append.status, append.stdout], [0, ''], append.stderr);
  assert.equal(JSON.parse(readFileSync(path, 'utf8')).series, 'load');

  const lines = run('scale', ['--once'], { input: 'cpu,cpu=cpu0 usage=50 1763559525000000000\nno line\n' });
  assert.deepEqual(JSON.parse(lines.stdout), { series: 'cpu', time: '2025-11-19T13:38:45Z', tags: { cpu: 'cpu0', host: 'h' }, fields: { usage: 0.5 } });
  assert.equal(run('scale', ['--once'], { input: '{"series":' }).status, 1);
  assert.equal(run('scale', ['--once']).stdout, '', 'of nothing comes nothing');
});

test('--describe prints the manifest', () => {
  const { status, stdout } = run('scale', ['--describe']);
  assert.equal(status, 0);
  const { kind, program, version, api, live, schema } = JSON.parse(stdout);
  assert.deepEqual([kind, program, version, api, live], ['processor', 'scale', '1.0.0', 1, true]);
  assert.equal(schema.properties.by.default, 0.01);
});

test('the exit status tells who has to mend something', (t) => {
  const f = (status, text, name, ...args) => {
    const got = run(name, args);
    assert.equal(got.status, status, got.stderr);
    assert.match(got.stderr + got.stdout, text);
  };
  f(64, /unexpected "x": see /, 'load', 'x');
  f(64, /--nonsense.* --help/s, 'load', '--nonsense');
  f(64, /give one of them/, 'load', '--describe', '--once');
  f(64, /--once knows no bus/, 'load', '--once', '--bus', 'nats://127.0.0.1:1');
  f(64, /--wait soon: want a time/, 'load', '--bus', 'nats://127.0.0.1:1', '--wait', 'soon');
  f(78, /want a JSON object/, 'load', '--once', '--config', '[]');
  f(78, /site: want string, not number/, 'load', '--once', '--config', '{"site":1}');
  f(78, /by 0: would make every value 0/, 'scale', '--once', '--config', '{"by":0}');
  f(69, /no bus/, 'load', '--bus', 'nats://127.0.0.1:1', '--wait', '0s');
  f(75, /no bus/, 'load', '--bus', 'nats://127.0.0.1:1', '--wait', '100ms');
  f(0, /Usage: node /, 'load', '--help');
  const creds = join(folder(t), 'creds');
  writeFileSync(creds, '{}', { mode: 0o644 });
  f(78, /lets others read it: chmod 600/, 'load', '--bus', 'nats://127.0.0.1:1', '--creds', creds);
});
