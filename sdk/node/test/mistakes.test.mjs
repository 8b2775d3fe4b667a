/** What an author is told who runs a plugin with a mistake in it. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

const library = new URL('../pacewire.mjs', import.meta.url).href;

/** said returns what a collector with this body says on both streams when it is run alone. */
function said(t, body, ...args) {
  const dir = mkdtempSync(join(tmpdir(), 'pacewire-'));
  t.after(() => rmSync(dir, { recursive: true }));
  const file = join(dir, 'fan.mjs');
  writeFileSync(file, `import { collector } from ${JSON.stringify(library)};
collector({
  program: 'fan', version: '1.0.0', settings: { path: { type: 'string', default: '/tmp' } },
  collect(out, { settings }) { ${body} },
}).run();\n`);
  const { stdout, stderr } = spawnSync(process.execPath, [file, ...args], { encoding: 'utf8', timeout: 60_000, input: '' });
  return stdout + stderr;
}

test('the stack of an error is that of the plugin', (t) => {
  const text = said(t, "throw new Error('it burns');");
  assert.match(text, /Error: it burns\n +at .*fan\.mjs:4/);
  assert.doesNotMatch(text, /session\.mjs/);
});

test('what is left out is said', (t) => {
  assert.match(said(t, "out.add('fan', { rpm: [1] });"), /a value is no number, text or boolean/);
  assert.match(said(t, "out.add('fan', { rpm: NaN, on: true });", '--once'), /a value is no finite number/);
});

test('a setting that there is not', (t) => {
  assert.match(said(t, '', '--once', '--config', '{"pth": "/tmp"}'), /pth: no such setting: there are path/);
});
