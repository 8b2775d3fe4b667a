#!/usr/bin/env node
/** my-plugin is a collector of pacewire: it counts the files of a folder. */
import { readdir } from 'node:fs/promises';
import { collector } from 'pacewire';

collector({
  program: 'my-plugin',
  version: '0.1.0',
  summary: 'Counts the files of a folder.',
  settings: {
    path: { type: 'string', default: '/tmp', description: 'the folder whose files are counted' },
  },
  catalog: [{ series: 'my-plugin', help: 'What is in a folder.', tags: { path: 'the folder' }, fields: { files: 'files' } }], // with units

  /** Is called each interval. What it throws is told to the operator, and the next interval tries again. */
  async collect(out, { settings: { path } }) {
    const files = await readdir(path);
    // Go on here: add a point for each thing that you measure, and describe it in the catalog above.
    out.add('my-plugin', { files: files.length }, { path });
  },
}).run();
