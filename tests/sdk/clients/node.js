// @infobip-api/sdk, driven by lines as the Python clients are: see lines.py.
const readline = require("node:readline");
const { Infobip, AuthType } = require("@infobip-api/sdk");

const CALLS = {
  send: (sms, body) => sms.send(body),
  preview: (sms, body) => sms.preview(body),
  reports: (sms, filter) => sms.reports.get(filter),
  logs: (sms, filter) => sms.logs.get(filter),
  bulk: (sms, bulkId) => sms.scheduled.get(bulkId),
  move: (sms, bulkId, sendAt) => sms.scheduled.reschedule(bulkId, sendAt),
  status: (sms, bulkId) => sms.status.get(bulkId),
  set_status: (sms, bulkId, status) => sms.status.update(bulkId, status),
};

// It never throws: what went wrong comes back in the place of the answer.
async function answer({ url, credentials, call, positional }) {
  const { authType, ...secrets } = credentials;
  const { channels } = new Infobip({ baseUrl: url, authType: AuthType[authType], ...secrets });
  const got = await CALLS[call](channels.sms, ...positional);
  if (!(got instanceof Error)) return { answer: got.data };
  const { status = null, data = got.message } = got.response ?? {};
  return { raised: got.name, status, data };
}

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await answer(JSON.parse(line))));
  }
})();
