// The policy {{name}}: streams whose name begins as configured may publish.

import { incr } from 'livehost:app/kv@0.1.0';

let config;

// What a function throws is the error that the interface declares.
export const lifecycle = {
  configure(json) {
    const { prefix = 'studio-', ...unknown } = JSON.parse(json);
    const [field] = Object.keys(unknown);
    if (field !== undefined) throw `config: unknown field "${field}", expected "prefix"`;
    if (typeof prefix !== 'string') throw 'config: prefix: expected a text';
    config = { prefix };
  },
  onStart() {},
  snapshot() {},
  onStop() {},
  onTimer() {},
};

export const policy = {
  onConnect() {
    return { tag: 'accept', val: { attrs: [], extra: [] } };
  },

  onPublish({ name }) {
    if (!name.startsWith(config.prefix)) {
      const description = `only ${config.prefix}* may publish`;
      return { tag: 'reject', val: { code: '', description } };
    }
    // State belongs to the host: this instance may be gone tomorrow.
    incr(`publishes/${name}`, 1n);
    return { tag: 'accept', val: { onDuplicate: 'reject', forwardTo: [], extra: [] } };
  },

  onPlay() {
    return { tag: 'accept', val: { extra: [] } };
  },
};
