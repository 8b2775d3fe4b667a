import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { decode as unpack } from '@msgpack/msgpack';
import { decodeControl, digestOf, encodeControl, encodeFacts, inventoryDigest } from '../lib/control.mjs';
import { JSONReader, stringify } from '../lib/json.mjs';

const dir = new URL('../../../schemas/testdata/control/', import.meta.url);
const read = (name) => readFileSync(new URL(name, dir));
const { valid, invalid } = JSON.parse(read('cases.json'));
const isRead = ({ kind }) => kind === 'ack' || kind === 'request';
const isWritten = ({ name }) => !name.startsWith('plugindata-part-'); // facts of this library are never so large

/** exactJSON reads JSON with its integers exact. */
function exactJSON(bytes) {
  const reader = new JSONReader(bytes);
  reader.value(32);
  return unpack(reader.out.done(), { useBigInt64: true });
}

/** canonical writes a value as text that equal ones share, whatever the width of their integers. */
function canonical(v) {
  const plain = (x) => {
    if (x instanceof Uint8Array) return Buffer.from(x).toString('hex');
    if (Array.isArray(x)) return x.map(plain);
    if (x === null || typeof x !== 'object') return x;
    return Object.fromEntries(Object.keys(x).sort().map((k) => [k, plain(x[k])]));
  };
  return stringify(plain(v));
}

for (const { name, kind } of valid.filter(isRead)) {
  test(`golden control message ${name}`, () => {
    const packed = decodeControl(kind, read(`valid/${name}.msgpack`));
    const text = decodeControl(kind, read(`valid/${name}.json`));
    assert.deepEqual([packed.json, text.json], [false, true]);
    assert.equal(stringify(packed.message), stringify(text.message));
  });
}

for (const { name } of valid.filter(isWritten)) {
  test(`golden control message ${name}, written`, () => {
    const message = exactJSON(read(`valid/${name}.json`));
    assert.equal(canonical(exactJSON(encodeControl(message, true))), canonical(message));
    const want = unpack(read(`valid/${name}.msgpack`), { useBigInt64: true });
    assert.equal(canonical(unpack(encodeControl(message), { useBigInt64: true })), canonical(want));
  });
}

for (const { file, kind, code, path } of invalid.filter(isRead)) {
  test(`golden control message that is refused: ${file}`, () => {
    assert.throws(() => decodeControl(kind, read(`invalid/${file}`)), (err) => {
      assert.equal(err.code, code, err.message);
      if (path) assert.equal(err.path, path);
      return true;
    });
  });
}

test('digests of facts and inventories', () => {
  const { facts, inventory } = exactJSON(read('digests.json'));
  for (const f of facts) {
    assert.equal(encodeFacts(f.data).toString('hex'), f.msgpack);
    assert.equal(encodeFacts(f.data, true).toString(), f.json);
    assert.equal(digestOf(encodeFacts(f.data)), f.msgpack_digest);
    assert.equal(digestOf(encodeFacts(f.data, true)), f.json_digest);
  }
  for (const i of inventory) assert.equal(inventoryDigest(i.inv_list), i.inv ?? i.digest);
});
