import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { JSONReader, stringify } from '../lib/json.mjs';
import { decode as unpack } from '@msgpack/msgpack';
import { decodeControl, digestOf, encodeControl, encodeFacts, inventoryDigest } from '../lib/control.mjs';

const dir = new URL('../../../schemas/testdata/control/', import.meta.url);
const read = (name) => readFileSync(new URL(name, dir));
const { valid, invalid } = JSON.parse(read('cases.json'));

/** exactJSON reads JSON with its integers exact. */
function exactJSON(bytes) {
  const reader = new JSONReader(bytes);
  reader.value(32);
  return unpack(reader.out.done(), { useBigInt64: true });
}

for (const { name, kind } of valid) {
  test(`golden control message ${name}`, () => {
    const packed = decodeControl(kind, read(`valid/${name}.msgpack`));
    const text = decodeControl(kind, read(`valid/${name}.json`));
    assert.equal(packed.json, false);
    assert.equal(text.json, true);
    // As text, in which a digest is hex: what nobody has typed, as in the payload of a reply, is bytes in one and text in the other.
    assert.equal(stringify(packed.message), stringify(text.message));
    for (const { message, json } of [packed, text]) {
      for (const other of [false, true]) {
        const again = decodeControl(kind, encodeControl(message, other));
        assert.equal(again.json, other);
        assert.equal(stringify(again.message), stringify(message), `${json ? 'JSON' : 'msgpack'} written as ${other ? 'JSON' : 'msgpack'}`);
      }
    }
  });
}

for (const { file, kind, code, path } of invalid) {
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
