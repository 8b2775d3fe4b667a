/** What a plugin tells when it is run by a person, without a bus: what it is, a trial, and how to go on. */
import { cpus } from 'node:os';
import { Batch, nanos } from './batch.mjs';
import { defaultsOf } from './config.mjs';
import { stringify } from './json.mjs';
import { alone } from './once.mjs';

const COLUMNS = 80, LINES = 8, SAMPLE = 3000;

/** madeBatch is what a processor is tried with. */
function madeBatch(host) {
  const b = new Batch(host);
  b.now = nanos(new Date());
  b.add('cpu', { usage: 12.5 }, { cpu: 'cpu0' });
  b.add('cpu', { usage: 93.5 }, { cpu: 'cpu1' });
  b.add('disk', { free: 52613349376n, used_percent: 41.2 }, { device: 'sda1', mount: '/' });
  b.add('net', { bytes_recv: 104857600n, up: true }, { interface: 'eth0' });
  return b;
}

/** diagnose writes the page, and tells whether the trial went well. */
export async function diagnose(definition, { config, host, name, log, write, command }) {
  const { spec, manifest } = definition;
  const line = (text = '') => write(text + '\n');
  const head = (text) => line(`\n${text}`);
  line(`${manifest.program} ${manifest.version}`.trim() + `, a ${manifest.kind}`);
  if (manifest.summary) words(line, '', manifest.summary);
  head('runtime');
  line(`  node ${process.version} ${process.platform}/${process.arch}, ${cpus().length} CPUs, plugin API ${manifest.api}`);
  line(`  host ${host}, process ${process.pid}, user ${process.getuid?.() ?? '-'}`);
  head('settings');
  settings(line, manifest.schema.properties);
  head('emits');
  catalog(line, manifest);
  const ok = await trial(definition, { config, host, name, log, line, head });
  head('next');
  const section = { collector: 'collect', processor: 'process', publisher: 'publish' }[manifest.kind];
  line(manifest.kind === 'collector' ? `  ${command} --once` : `  echo 'cpu usage=93.5' | ${command} --once`);
  line(`  pacewire conform -- ${command}`);
  line(`  ${command} --help`);
  line('\n  or in a config:\n');
  line(`    ${section}:\n      ${manifest.program}:\n        run: ${command}`);
  if (manifest.kind !== 'collector') line('        from: all');
  const given = JSON.stringify(Object.keys(config).length > 0 ? config : defaultsOf(spec.settings ?? {}));
  if (given !== '{}' && given.length <= 60) line(`        config: ${given}`);
  return ok;
}

/** trial runs the plugin once with what it is given, and shows what came of it. */
async function trial(definition, { config, host, name, log, line, head }) {
  const { manifest, spec } = definition;
  const texts = [];
  const quit = new AbortController();
  let input = null, plugin = definition;
  if (manifest.kind === 'publisher') {
    head('sample: made ready with these settings, nothing was published');
    plugin = { ...definition, loop: async () => {} };
  } else if (manifest.kind === 'processor') {
    head('sample: what it makes of these four points');
    input = madeBatch(host).encode();
    sample(line, [...madeBatch(host).points()].map(short));
    line('  ->');
  } else {
    head(spec.stream ? 'sample: what it says within 3 s' : 'sample: one collection');
  }
  const timer = setTimeout(() => quit.abort(), SAMPLE);
  try {
    const { count, built } = await alone(plugin, {
      config, input, host, name, log, quit: quit.signal, points: (batch) => texts.push(...[...batch.points()].map(short)),
    });
    if (manifest.kind !== 'publisher') sample(line, texts);
    head('timings');
    line(`  start ${built.toFixed(2)} ms`);
    const { calls = 0, call_max_us: most = 0 } = count.stats();
    if (calls > 1) line(`  call  ${(most / 1000).toFixed(2)} ms`);
    return true;
  } catch (err) {
    sample(line, texts, err);
    return false;
  } finally {
    clearTimeout(timer);
  }
}

function sample(line, texts, err) {
  for (const text of texts.slice(0, LINES)) line('  ' + cut(text, COLUMNS - 5));
  if (texts.length > LINES) line(`  ... and ${texts.length - LINES} more`);
  if (err) words(line, '  ', `failed: ${err.message}`);
  else if (texts.length === 0) line('  nothing');
}

/** short is a point for people. */
function short({ series, tags, fields }) {
  const { host: _, ...rest } = tags;
  const pairs = (map, shown) => Object.entries(map).map(([k, v]) => `${k}=${shown(v)}`);
  return `${[series, ...pairs(rest, String)].join(',')} ${pairs(fields, stringify).join(',')}`;
}

const cut = (text, most) => (text.length > most ? text.slice(0, most) + '...' : text);

/** words writes a text, each line behind indent. */
function words(line, indent, text) {
  let out = indent;
  for (const word of text.split(/\s+/).filter(Boolean)) {
    if (out !== indent && out.length + 1 + word.length > COLUMNS) {
      line(out);
      out = indent;
    }
    out += (out === indent ? '' : ' ') + word;
  }
  line(out);
}

function settings(line, properties) {
  for (const [key, s] of Object.entries(properties)) {
    const values = s.enum ? ` of ${s.enum.map((v) => JSON.stringify(v)).join(',')}` : '';
    line(cut(`  ${key.padEnd(16)} ${String(s.type ?? 'any').padEnd(8)}${s.default === undefined ? '' : ' ' + JSON.stringify(s.default)}${values}`, COLUMNS - 3).trimEnd());
    if (s.description) words(line, '      ', s.description);
  }
  if (Object.keys(properties).length === 0) line('  none');
}

function catalog(line, { kind, catalog: series = [] }) {
  const pairs = (title, map = {}) => {
    const list = Object.keys(map).sort().map((k) => (map[k] ? `${k} (${map[k]})` : k));
    if (list.length > 0) words(line, '      ', `${title} ${list.join(', ')}`);
  };
  for (const s of series) {
    line(`  ${s.series}`);
    if (s.help) words(line, '      ', s.help);
    pairs('tags:', s.tags);
    pairs('fields:', s.fields);
  }
  const nothing = { collector: 'nothing that is listed', processor: 'what it is given', publisher: 'nothing, it carries points out' };
  if (series.length === 0) line(`  ${nothing[kind]}`);
}
