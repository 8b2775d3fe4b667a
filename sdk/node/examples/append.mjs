/** Appends points to a file, a line of JSON each: a publisher. */
import { open } from 'node:fs/promises';
import { Denied, publisher } from '../pacewire.mjs';

publisher({
  program: 'append', version: '1.0.0',
  summary: 'Appends points to a file, as lines of JSON.',
  settings: {
    path: { type: 'string', default: '/tmp/points.jsonl', minLength: 1, description: 'the file; it is made' },
  },
  async open({ settings }) {
    try {
      return await open(settings.path, 'a');
    } catch (err) {
      throw err.code === 'EACCES' ? new Denied(err) : err;
    }
  },
  async publish(input, { state: file }) {
    let text = '';
    for (const { series, time, tags, fields } of input.points()) {
      const values = Object.fromEntries(Object.entries(fields).map(([k, v]) => [k, typeof v === 'bigint' ? String(v) : v]));
      text += JSON.stringify({ series, time: String(time), tags, fields: values }) + '\n';
    }
    await file.appendFile(text);
    await file.datasync(); // before, it would be a promise that a power cut breaks
  },
  async close({ state: file }) {
    await file?.close();
  },
}).run();
