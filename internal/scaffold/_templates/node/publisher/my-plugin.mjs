#!/usr/bin/env node
/** my-plugin is a publisher of pacewire: it appends points to a file, a line of JSON each. */
import { open } from 'node:fs/promises';
import { publisher } from 'pacewire';

publisher({
  program: 'my-plugin',
  version: '0.1.0',
  summary: 'Appends points to a file.',
  settings: {
    path: { type: 'string', default: 'my-plugin.jsonl', minLength: 1, description: 'the file to append to' },
  },

  /** Is called with each config before the first batch; what it returns is the state of the others. */
  open: ({ settings }) => open(settings.path, 'a'),

  /**
   * Is called for each batch. When it returns, the sink has every point; after an error the same points are given again, later and
   * for ever. throw new Permanent('why') sets them aside instead.
   */
  async publish(input, { state: file }) {
    // Go on here: times are nanoseconds, and they and large integers are BigInt.
    const plain = (_, value) => (typeof value === 'bigint' ? value.toString() : value);
    const lines = Array.from(input.points(), (point) => JSON.stringify(point, plain) + '\n');
    await file.appendFile(lines.join(''));
    await file.datasync();
  },

  close: ({ state: file }) => file?.close(),
}).run();
