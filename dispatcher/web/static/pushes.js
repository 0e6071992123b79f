// Pushes as they are made: how many are newer than the list, and that a dispatch has changed.

const newer = document.querySelector("#newer");
const changed = document.querySelector("#changed");
const MOST = 100;

function countNewer(dispatches, newest) {
  const at = dispatches.findIndex((each) => each.id === newest);
  return at < 0 ? dispatches.length : at;
}

async function look() {
  const asked = newer.dataset.asked ? `&${newer.dataset.asked}` : "";
  const response = await fetch(`/api/dispatches?limit=${MOST}${asked}`);
  if (!response.ok) return;
  const { dispatches } = await response.json();
  const count = countNewer(dispatches, newer.dataset.newest);
  newer.hidden = !count;
  newer.querySelector("a").textContent = `${count}${count === MOST ? "+" : ""} newer: show`;
}

// At most one look a second, however many attempts are made.
let planned = 0;
function lookSoon() {
  planned ||= setTimeout(async () => { await look().catch(() => {}); planned = 0; }, 1000);
}

// What happened before the stream was open is looked up when it opens, and when it opens again.
function follow(query, opened, told) {
  const events = new EventSource(`/api/events?types=attempt${query}`);
  events.addEventListener("open", opened);
  events.addEventListener("attempt", (event) => told(JSON.parse(event.data)));
  addEventListener("pagehide", () => events.close());
}

async function compare() {
  const response = await fetch(`/api/dispatches/${changed.dataset.dispatch}`);
  if (!response.ok) return;
  const { state, attempts } = await response.json();
  if (`${state} ${attempts}` !== changed.dataset.is) changed.hidden = false;
}

if (newer) follow("", lookSoon, lookSoon);
if (changed) {
  const { dispatch, endpoint } = changed.dataset;
  follow(`&endpoint=${encodeURIComponent(endpoint)}`, compare, (attempt) => {
    if (attempt.dispatch === dispatch) compare();
  });
}
