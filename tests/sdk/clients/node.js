// @infobip-api/sdk, driven by lines as the Python clients are: see lines.py.
const readline = require("node:readline");
const { Infobip, AuthType } = require("@infobip-api/sdk");

const CALLS = {
  send: ({ sms }, body) => sms.send(body),
  preview: ({ sms }, body) => sms.preview(body),
  reports: ({ sms }, filter) => sms.reports.get(filter),
  logs: ({ sms }, filter) => sms.logs.get(filter),
  inbox: ({ sms }, limit) => sms.get(limit),
  bulk: ({ sms }, bulkId) => sms.scheduled.get(bulkId),
  move: ({ sms }, bulkId, sendAt) => sms.scheduled.reschedule(bulkId, sendAt),
  status: ({ sms }, bulkId) => sms.status.get(bulkId),
  set_status: ({ sms }, bulkId, status) => sms.status.update(bulkId, status),
  token: ({ auth }) => auth.oauth2.create(),
};

const used = new Set();
const isGroup = (value) => value?.constructor === Object; // such as `reports`, which has `get`

// The same object; it remembers which methods were called.
function watched(of, path = "") {
  return new Proxy(of, {
    get(target, name) {
      const value = target[name];
      if (isGroup(value)) return watched(value, `${name}.`);
      if (typeof value !== "function") return value;
      return (...given) => {
        used.add(path + name);
        return value.apply(target, given);
      };
    },
  });
}

// Those that are meant for users of the client; the methods behind a group's are not.
function methods(sms) {
  const groups = Object.entries(sms).filter(([, value]) => isGroup(value));
  const grouped = groups.flatMap(([name, of]) => Object.keys(of).map((each) => `${name}.${each}`));
  const behind = groups.flatMap(([, of]) => Object.values(of).map((each) => each.name));
  const own = Object.getOwnPropertyNames(Object.getPrototypeOf(sms));
  const hidden = new Set([...behind.map((name) => name.replace("bound ", "")), "constructor"]);
  return [...own.filter((name) => !hidden.has(name)), ...grouped];
}

// It never throws: what went wrong comes back in the place of the answer.
async function answer({ url, credentials, call, positional }) {
  const { authType, ...secrets } = credentials;
  const { channels, auth } = new Infobip({ baseUrl: url, authType: AuthType[authType], ...secrets });
  if (call === "unused") return { answer: methods(channels.sms).filter((name) => !used.has(name)) };
  const got = await CALLS[call]({ sms: watched(channels.sms), auth }, ...positional);
  if (!(got instanceof Error)) return { answer: got.data };
  const { status = null, data = got.message } = got.response ?? {};
  return { raised: got.name, status, data };
}

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await answer(JSON.parse(line))));
  }
})();
