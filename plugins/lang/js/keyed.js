// The policy `keyed` in JavaScript; ../README.md says what it does.

import { write as log } from 'livehost:app/log@0.1.0';
import { get, incr } from 'livehost:app/kv@0.1.0';
import { send } from 'livehost:app/http-client@0.1.0';

// When a client may try again after the back end failed.
const RETRY_MS = 5000;

const FIELDS = ['keys', 'apps', 'moved', 'rename', 'on_duplicate', 'hook'];
const DUPLICATE = ['reject', 'replace', 'standby'];

let config;

// A result's error is thrown: as a text, what the interface declares.
function check(expected, isSo) {
  if (!isSo) throw expected;
}

const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);
const isTexts = (value) => Array.isArray(value) && value.every((one) => typeof one === 'string');

export const lifecycle = {
  configure(json) {
    const given = JSON.parse(json);
    check('expected an object', isObject(given));
    for (const field of Object.keys(given)) {
      check(`unknown field "${field}", expected one of ${FIELDS.join(', ')}`, FIELDS.includes(field));
    }
    config = { apps: null, moved: {}, rename: '{name}', on_duplicate: 'reject', hook: null, ...given };
    check('keys: expected an object of lists of texts',
      isObject(config.keys) && Object.values(config.keys).every(isTexts));
    check('apps: expected a list of texts', config.apps === null || isTexts(config.apps));
    check('moved: expected an object of texts',
      isObject(config.moved) && isTexts(Object.values(config.moved)));
    check('rename: expected a text with {name} in it',
      typeof config.rename === 'string' && config.rename.includes('{name}'));
    check(`on_duplicate: expected one of ${DUPLICATE.join(', ')}`,
      DUPLICATE.includes(config.on_duplicate));
    check('hook: expected a text', config.hook === null || typeof config.hook === 'string');
  },
  onStart() {},
  snapshot() {},
  onStop() {},
  onTimer() {},
};

export const policy = {
  onConnect({ app }) {
    if (Object.hasOwn(config.moved, app)) {
      return { tag: 'redirect', val: config.moved[app] };
    }
    if (config.apps && !config.apps.includes(app)) {
      return rejected(`there is no application "${app}"`, { code: '' });
    }
    return { tag: 'accept', val: { attrs: [], extra: [] } };
  },

  onPublish(req) {
    const shown = req.query.find(([key]) => key === 'key')?.[1];
    if (!shown) return rejected('a publish key is required: NAME?key=KEY');
    if (!opens(req.name, shown)) return rejected('the publish key is wrong');
    const name = granted(req.name);
    const refusal = config.hook && ask(config.hook, req, name);
    if (refusal) return refusal;
    try {
      incr(counter(name), 1n);
    } catch (error) {
      log('warn', `a publish was not counted: ${reason(error)}`, []);
    }
    return { tag: 'accept', val: { name, onDuplicate: config.on_duplicate, forwardTo: [], extra: [] } };
  },

  onPlay(req) {
    return { tag: 'accept', val: { name: granted(req.name), extra: [] } };
  },
};

export const calls = {
  onCall(_who, method, amf0) {
    if (method !== 'count') throw 'unknown';
    const name = amf0Text(amf0);
    if (name === undefined) throw 'count: expected the name of a stream';
    return amf0Number(count(granted(name)));
  },
};

// The stream's own keys, else those of the longest prefix.
function keysOf(name) {
  if (Object.hasOwn(config.keys, name)) return config.keys[name];
  const prefixes = Object.keys(config.keys)
    .filter((pattern) => pattern.endsWith('*') && name.startsWith(pattern.slice(0, -1)))
    .sort((a, b) => b.length - a.length);
  return prefixes.length > 0 ? config.keys[prefixes[0]] : [];
}

// Compares every key, so time does not tell which one was close.
function opens(name, shown) {
  return keysOf(name).reduce((found, key) => equal(key, shown) || found, false);
}

// In constant time, once the lengths are equal.
function equal(a, b) {
  const [left, right] = [a, b].map((text) => new TextEncoder().encode(text));
  if (left.length !== right.length) return false;
  return left.reduce((differs, byte, at) => differs | (byte ^ right[at]), 0) === 0;
}

// The replacement as a function: as a text, its $ would mean something.
const granted = (name) => config.rename.replace('{name}', () => name);

function count(name) {
  try {
    const entry = get(counter(name));
    // What is no number counts as 0.
    return entry ? Number(new TextDecoder().decode(entry.value)) || 0 : 0;
  } catch {
    throw 'count: no store';
  }
}

const counter = (name) => `publishes/${name}`;

const rejected = (description, more) => ({
  tag: 'reject',
  val: { code: 'NetStream.Publish.Denied', description, ...more },
});

// What a failed call of the host threw: the error that the interface declares.
const reason = (error) => error.payload?.tag ?? String(error);

// Asks the back end: 2xx accepts, anything else is the refusal returned.
function ask(url, { app, name, client }, stream) {
  const body = JSON.stringify({ hook: 'publish', app, name, stream, remote: client.remote });
  let response;
  try {
    response = send({
      method: 'POST',
      url,
      headers: [['content-type', 'application/json']],
      body: new TextEncoder().encode(body),
      timeoutMs: 0,
      followRedirects: 0,
    });
  } catch (error) {
    log('warn', `the back end failed: ${reason(error)}`, []);
    return rejected('the back end does not answer', { retryAfterMs: RETRY_MS });
  }
  if (response.status >= 200 && response.status < 300) return undefined;
  return rejected(`refused by the back end: status ${response.status}`);
}

// A string as AMF0 has it: marker 2, length in two bytes, UTF-8.
function amf0Text(bytes) {
  if (bytes.length < 3 || bytes[0] !== 2) return undefined;
  const text = bytes.subarray(3, 3 + ((bytes[1] << 8) | bytes[2]));
  return text.length === ((bytes[1] << 8) | bytes[2]) ? new TextDecoder().decode(text) : undefined;
}

// A number as AMF0 has it: marker 0, eight bytes, the highest first.
function amf0Number(number) {
  const bytes = new Uint8Array(9);
  new DataView(bytes.buffer).setFloat64(1, number);
  return bytes;
}
