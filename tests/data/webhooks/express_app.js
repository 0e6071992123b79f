// The right webhook in Express, with its own readers of bodies and fast-xml-parser.
// Prints `listening on URL` and serves until it is ended.
'use strict';

const express = require('express');
const { XMLParser } = require('fast-xml-parser');

const FINAL = new Set(['DELIVERED', 'UNDELIVERABLE', 'EXPIRED', 'REJECTED']);
const messages = new Map();
const xml = new XMLParser({
  parseTagValue: false,
  trimValues: false,
  isArray: (name) => name === 'result',
});
const app = express();

app.use(express.json({ limit: '10mb', inflate: false }));
app.use(express.text({ limit: '10mb', type: ['application/xml', 'text/xml'], inflate: false }));

app.post('/dlr', (request, response) => {
  const reports = read(request);
  if (!Array.isArray(reports)) return response.sendStatus(400);
  reports.forEach(store);
  return response.json({ taken: reports.length });
});

app.get('/messages/:id', (request, response) => {
  const known = messages.get(request.params.id);
  if (!known) return response.sendStatus(404);
  return response.json({ ...known, reports: known.reports.size });
});

// Broken bodies: the readers say which status they are (400, 413, 415).
app.use((error, request, response, next) => response.sendStatus(error.status || 500));

function read(request) {
  if (!request.is(['application/xml', 'text/xml'])) return request.body?.results;
  try {
    const [root] = Object.values(xml.parse(request.body, true)).filter((each) => each.results);
    return root.results.result;
  } catch {
    return null;
  }
}

function store(report) {
  const { messageId, status } = report ?? {};
  if (!messageId || !status) return;
  const known = messages.get(messageId) ?? { final: false, reports: new Set() };
  messages.set(messageId, known);
  const key = `${status.groupName}/${status.id}/${report.doneAt}`;
  if (known.reports.has(key)) return;
  known.reports.add(key);
  known.callbackData = report.callbackData;
  const final = FINAL.has(status.groupName) && `${status.groupName}/${status.id}` !== 'DELIVERED/2';
  if (known.final && !final) return;
  known.final = final;
  known.state = status.name ?? status.groupName;
  known.doneAt = report.doneAt;
}

const server = app.listen(0, '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
