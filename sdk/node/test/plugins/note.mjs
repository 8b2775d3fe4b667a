/** A publisher for tests: it notes the field n of each point in a file, and does on the way what its settings say. */
import { appendFileSync } from 'node:fs';
import { aborted } from '../../lib/consume.mjs';
import { Permanent, TooLarge, publisher } from '../../pacewire.mjs';

let calls = 0;

const deeds = {
  hold: (numbers, signal) => aborted(signal),
  slow: () => new Promise((go) => { setTimeout(go, 1500); }),
  die: () => process.kill(process.pid, 'SIGKILL'),
  refuse: (numbers) => { if (numbers.includes(13)) throw new Permanent('13 brings bad luck'); },
  large: (numbers) => { if (numbers.length > 4 || numbers.includes(13)) throw new TooLarge(); },
  twice: () => { if (++calls < 3) throw new Error(`trouble ${calls}`); },
};

publisher({
  program: 'note', version: '1.0.0',
  settings: {
    path: { type: 'string', default: '/dev/null', minLength: 1, description: 'the file' },
    does: { type: 'string', enum: ['', ...Object.keys(deeds)], default: '', description: 'what it does before it notes' },
  },
  validate({ path }) {
    if (path === '/nowhere') throw new Error('path /nowhere: is not there');
  },
  async publish(input, { settings, signal }) {
    const numbers = input.groups.flatMap((g) => Array.from(g.values('n')));
    appendFileSync(settings.path, `begin ${numbers.join(' ')}\n`);
    await deeds[settings.does]?.(numbers, signal);
    appendFileSync(settings.path, `end ${numbers.join(' ')}\n`);
  },
}).run();
