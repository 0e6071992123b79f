// The right webhook in Node, with nothing but its http module.
// Prints `listening on URL` and serves until it is ended.
'use strict';

const http = require('node:http');

const BODY_LIMIT = 10 * 1024 * 1024;
const FINAL = new Set(['DELIVERED', 'UNDELIVERABLE', 'EXPIRED', 'REJECTED']);
const messages = new Map();

class NotReadable extends Error {}

// --- formats ------------------------------------------------------------------------------------

function read(body, contentType) {
  const type = (contentType || '').split(';')[0].trim().toLowerCase();
  const items = type.endsWith('xml') ? fromXml(body) : fromJson(body);
  if (!Array.isArray(items) || !items.every((item) => item && typeof item === 'object')) {
    throw new NotReadable('results: expected a list of objects');
  }
  return items;
}

function fromJson(body) {
  let document;
  try {
    document = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    throw new NotReadable('not JSON');
  }
  if (document === null || typeof document !== 'object') throw new NotReadable('no object');
  return 'notificationType' in document ? [] : document.results;
}

// A reader of the XML that the platform writes: elements and texts. A real app would take a
// library; this one stands alone so that the test needs no packages.
function fromXml(body) {
  const declared = /^<\?xml[^>]*encoding="([^"]+)"/.exec(body.subarray(0, 200).toString('latin1'));
  let text;
  try {
    text = new TextDecoder(declared ? declared[1] : 'utf-8', { fatal: true }).decode(body);
  } catch {
    throw new NotReadable('not text');
  }
  if (/<!DOCTYPE/i.test(text)) throw new NotReadable('no DOCTYPE, please');
  const root = parse(text.replace(/^\s*<\?xml[^>]*\?>/, '').trim());
  const results = root.children.find((child) => child.name === 'results');
  if (!results) throw new NotReadable('no results');
  return results.children.filter((child) => child.name === 'result').map(object);
}

function parse(text) {
  const top = { name: '', children: [], text: '' };
  const open = [top];
  const token = /<(\/?)([\w.-]+)[^<>]*?(\/?)>|([^<]+)/gy;
  let end = 0;
  for (let found; (found = token.exec(text)); end = token.lastIndex) {
    const [, closing, name, empty, words] = found;
    const inner = open[open.length - 1];
    if (words !== undefined) {
      inner.text += unescape(words);
    } else if (closing) {
      if (inner.name !== name || open.length === 1) throw new NotReadable(`</${name}>`);
      open.pop();
    } else {
      const element = { name, children: [], text: '' };
      inner.children.push(element);
      if (!empty) open.push(element);
    }
  }
  if (end !== text.length || open.length !== 1 || top.children.length !== 1 || top.text.trim()) {
    throw new NotReadable('not XML');
  }
  return top.children[0];
}

function unescape(text) {
  const names = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };
  return text.replace(/&(?:#(\d+)|#x([0-9a-f]+)|(\w+));/gi, (all, decimal, hex, name) =>
    name ? names[name] ?? all : String.fromCodePoint(parseInt(decimal ?? hex, decimal ? 10 : 16)));
}

function object(element) {
  const found = {};
  for (const child of element.children) {
    found[child.name] = child.children.length ? object(child) : child.text;
  }
  return found;
}

// --- the app ------------------------------------------------------------------------------------

function isFinal(status) {
  const withOperator = status.groupName === 'DELIVERED' && String(status.id) === '2';
  return FINAL.has(status.groupName) && !withOperator;
}

function store(report) {
  const { messageId, status } = report;
  if (!messageId || !status || typeof status !== 'object') return;
  if (!messages.has(messageId)) messages.set(messageId, { final: false, reports: new Set() });
  const known = messages.get(messageId);
  const key = `${status.groupName}/${status.id}`;
  if (known.reports.has(key)) return;
  known.reports.add(key);
  known.callbackData = report.callbackData;
  if (!known.final || isFinal(status)) {
    known.state = status.name || status.groupName;
    known.final = isFinal(status);
  }
}

function answer(response, status, view, headers = {}) {
  response.writeHead(status, { 'Content-Type': 'application/json', ...headers });
  response.end(JSON.stringify(view));
}

function take(request, response) {
  if ((request.headers['content-encoding'] || 'identity') !== 'identity') {
    request.resume();
    return answer(response, 415, { error: 'not packed, please' });
  }
  const pieces = [];
  let size = 0;
  request.on('data', (piece) => {
    size += piece.length;
    if (size <= BODY_LIMIT) return pieces.push(piece);
    request.removeAllListeners('data').removeAllListeners('end');
    request.resume();
    return answer(response, 413, { error: 'too large' }, { Connection: 'close' });
  });
  request.on('end', () => {
    try {
      const reports = read(Buffer.concat(pieces), request.headers['content-type']);
      reports.forEach(store);
      answer(response, 200, { taken: reports.length });
    } catch (error) {
      if (!(error instanceof NotReadable)) console.error(error);
      answer(response, error instanceof NotReadable ? 400 : 500, { error: 'no reports' });
    }
  });
  return undefined;
}

function tell(response, id) {
  const known = messages.get(id);
  if (!known) return answer(response, 404, { error: 'unknown' });
  const { state, callbackData, reports } = known;
  return answer(response, 200, { state, callbackData, reports: reports.size });
}

const server = http.createServer((request, response) => {
  const url = new URL(request.url, 'http://localhost');
  if (request.method === 'POST' && url.pathname === '/dlr') return take(request, response);
  const found = /^\/messages\/(.+)$/.exec(url.pathname);
  if (request.method === 'GET' && found) return tell(response, decodeURIComponent(found[1]));
  request.resume();
  return answer(response, 404, { error: 'nothing here' });
});

server.listen(0, '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
