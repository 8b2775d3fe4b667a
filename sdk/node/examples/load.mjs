/** The load averages of this machine: a collector. */
import { loadavg } from 'node:os';
import { collector } from '../pacewire.mjs';

collector({
  program: 'load', version: '1.0.0',
  summary: 'System load averages over 1, 5 and 15 minutes.',
  settings: {
    site: { type: 'string', default: '', description: 'a tag to add to each point; empty: none' },
  },
  catalog: [{
    series: 'load', help: 'Runnable and uninterruptible tasks.', tags: { site: 'as the settings say' },
    fields: { load1: 'tasks', load5: 'tasks', load15: 'tasks' },
  }],
  collect(out, { settings }) {
    const [load1, load5, load15] = loadavg();
    out.add('load', { load1, load5, load15 }, { site: settings.site });
  },
}).run();
