// Checks that my-plugin keeps what every KIND promises; pacewire conform --list names it.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import test from 'node:test';
import { fileURLToPath } from 'node:url';

test('pacewire conform', () => {
  const program = fileURLToPath(new URL('my-plugin.mjs', import.meta.url));
  const pacewire = process.env.PACEWIRE_BINARY ?? 'pacewire';
  const done = spawnSync(pacewire, ['conform', '--kind', 'KIND', '--', process.execPath, program], { encoding: 'utf8' });
  assert.ifError(done.error);
  assert.equal(done.status, 0, done.stdout + done.stderr);
});
