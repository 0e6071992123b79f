// The inbox: new reports as they arrive, a report opened beside the list, and what can be searched.

import { showButtons, tellTimes } from "./page.js";

const $ = (id) => document.getElementById(id);
const rows = $("rows");
const table = rows.closest("table");
const beside = $("beside");
const pane = $("report");

// In which zone `after:14:00` is meant.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
document.cookie = `dlr_zone=${zone}; path=/; max-age=31536000; samesite=lax`;

// --- new reports --------------------------------------------------------------------------------

const live = $("live");
const REST_MS = 1000; // between two looks, however many reports come
const POLL_MS = 15000; // where the stream has no place left

function follow() {
  const most = Number(live.dataset.most);
  const fresh = document.createElement("tbody"); // what has come and is not shown yet
  let newest = live.dataset.newest;
  let paused = false;
  let missed = false; // more came than is kept here
  let looking = false;
  let again = false;

  const reading = () => scrollY > 40 || beside.classList.contains("opened") || rows.querySelector(".chosen");

  function show() {
    for (const row of fresh.children) {
      row.classList.add("fresh");
    }
    rows.prepend(...fresh.children);
    while (rows.children.length > most) rows.lastElementChild.remove();
    missed = false;
    table.hidden = false;
    $("nothing")?.remove();
    tell();
  }

  function tell() {
    const count = fresh.children.length;
    $("show-new").hidden = !count;
    $("show-new").textContent = `${count}${missed ? "+" : ""} new`;
    $("live-state").textContent = paused ? "paused" : "live";
  }

  async function look() {
    if (looking) { again = true; return; }
    looking = true;
    try {
      const response = await fetch(`${live.dataset.rowsFrom}&after=${newest}`);
      if (response.redirected) { location.reload(); return; } // signed out
      if (response.ok) take(await response.text());
    } catch { /* the server is away: the stream tells when it is back */ }
    await new Promise((done) => { setTimeout(done, REST_MS); });
    looking = false;
    if (again) { again = false; look(); }
  }

  function take(html) {
    const template = document.createElement("template");
    template.innerHTML = html;
    const came = template.content.querySelector("tbody");
    newest = came.dataset.newest;
    tellTimes(came);
    const more = [...came.children].filter((row) => !$(row.id));
    fresh.prepend(...more);
    if ("more" in came.dataset || fresh.children.length > most) missed = true;
    while (fresh.children.length > most) fresh.lastElementChild.remove();
    if (more.length && !paused && !reading()) show(); else tell();
  }

  function poll() {
    setTimeout(() => { if (!document.hidden) look(); poll(); }, POLL_MS * (0.8 + 0.4 * Math.random()));
  }

  const source = new URLSearchParams(live.dataset.rowsFrom.split("?")[1]).get("source");
  const of = source ? `&source=${encodeURIComponent(source)}` : "";
  const stream = new EventSource(`/api/events?types=report${of}`);
  const heard = () => { if (document.hidden) again = true; else look(); };
  stream.addEventListener("report", heard);
  stream.addEventListener("open", heard); // what came before it was open, or while it was away
  stream.addEventListener("error", () => { if (stream.readyState === EventSource.CLOSED) poll(); });
  addEventListener("pagehide", () => stream.close());
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });

  $("pause").addEventListener("click", () => {
    paused = !paused;
    $("pause").textContent = paused ? "Resume" : "Pause";
    $("pause").setAttribute("aria-pressed", String(paused));
    if (!paused && !reading()) show(); else tell();
  });
  $("show-new").addEventListener("click", () => { show(); scrollTo(0, 0); });
  live.hidden = false;
}

if (live) follow();

// --- a report beside the list -------------------------------------------------------------------

const wide = matchMedia("(min-width: 64rem)");

async function open(row, href) {
  const response = await fetch(`/reports/${row.id.slice(1)}?beside`);
  if (!response.ok || response.redirected) { location.href = href; return; }
  pane.innerHTML = await response.text();
  for (const each of rows.querySelectorAll("[aria-selected]")) each.removeAttribute("aria-selected");
  row.setAttribute("aria-selected", "true");
  pane.querySelector("a[data-close]").href = listUrl();
  pane.hidden = false;
  beside.classList.add("opened");
  history.replaceState(null, "", href);
  tellTimes(pane);
  showButtons(pane);
}

function listUrl() {
  const url = new URL(location.href);
  url.searchParams.delete("report");
  return url.pathname + url.search;
}

function close() {
  history.replaceState(null, "", listUrl());
  beside.classList.remove("opened");
  pane.hidden = true;
  pane.replaceChildren();
  const row = rows.querySelector("[aria-selected]");
  row?.removeAttribute("aria-selected");
  row?.querySelector("a").focus({ preventScroll: true });
}

document.addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  if (pane.contains(event.target) && event.target.closest("a[data-close]")) {
    event.preventDefault();
    close();
    return;
  }
  const row = event.target.closest("#rows > tr");
  if (!row || !wide.matches || getSelection().toString()) return;
  if (event.target.closest("a, td")) {
    event.preventDefault();
    open(row, row.dataset.href);
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.defaultPrevented) return;
  if (event.target.closest("input, textarea, select") || document.querySelector("dialog[open]")) return;
  if (beside.classList.contains("opened")) {
    event.preventDefault();
    event.stopImmediatePropagation();
    close();
  } else {
    rows.querySelector(".chosen")?.classList.remove("chosen");
  }
}, true);

// --- what can be typed --------------------------------------------------------------------------

const field = document.querySelector("input[name=q]");
const list = $("suggestions");
const words = [...document.querySelectorAll("[data-word]")].map((each) => ({
  name: each.dataset.word,
  told: each.textContent.trim(),
  values: each.dataset.values.split(" ").filter(Boolean),
}));
const OFFERED = 12;
let picked = -1;

/** The last word before the cursor, and where it begins. */
function typed() {
  const before = field.value.slice(0, field.selectionStart);
  const begin = before.search(/\S*$/);
  return { begin, end: field.selectionStart, text: before.slice(begin) };
}

function offers(text) {
  const [name, value] = text.split(/:(.*)/s);
  if (value === undefined) {
    return words.filter((each) => each.name.startsWith(name.toLowerCase()))
      .map((each) => ({ insert: `${each.name}:`, shown: `${each.name}:  ${each.told}` }));
  }
  const word = words.find((each) => each.name === name.toLowerCase());
  const wanted = value.toLowerCase();
  return (word?.values ?? []).filter((each) => each.toLowerCase().includes(wanted) && each !== value)
    .map((each) => ({ insert: `${word.name}:${each} `, shown: each }));
}

function offer() {
  const found = offers(typed().text).slice(0, OFFERED);
  list.replaceChildren(...found.map(({ insert, shown }, at) => {
    const item = document.createElement("li");
    item.role = "option";
    item.id = `suggestion-${at}`;
    item.dataset.insert = insert;
    item.textContent = shown;
    item.setAttribute("aria-selected", "false");
    return item;
  }));
  pick(-1);
  list.hidden = !found.length;
  field.setAttribute("aria-expanded", String(!list.hidden));
}

function pick(at) {
  picked = at;
  [...list.children].forEach((item, each) => item.setAttribute("aria-selected", String(each === at)));
  if (at < 0) field.removeAttribute("aria-activedescendant");
  else {
    field.setAttribute("aria-activedescendant", `suggestion-${at}`);
    list.children[at].scrollIntoView({ block: "nearest" });
  }
}

function accept(item) {
  const { begin, end } = typed();
  field.setRangeText(item.dataset.insert, begin, end, "end");
  field.focus();
  offer();
}

function hide() {
  list.hidden = true;
  field.setAttribute("aria-expanded", "false");
  pick(-1);
}

field.setAttribute("role", "combobox");
field.setAttribute("aria-controls", "suggestions");
field.setAttribute("aria-autocomplete", "list");
field.setAttribute("aria-expanded", "false");
field.addEventListener("input", offer);
field.addEventListener("focus", offer);
field.addEventListener("blur", hide);
field.addEventListener("keydown", (event) => {
  if (list.hidden) return;
  const count = list.children.length;
  if (event.key === "ArrowDown") pick((picked + 1) % count);
  else if (event.key === "ArrowUp") pick(picked <= 0 ? count - 1 : picked - 1);
  else if (event.key === "Enter" && picked >= 0) accept(list.children[picked]);
  else if (event.key === "Escape") { hide(); if (event.target.value) event.stopPropagation(); } else return;
  event.preventDefault();
});
list.addEventListener("mousedown", (event) => {
  const item = event.target.closest("[role=option]");
  if (item) { event.preventDefault(); accept(item); }
});

document.querySelector("select[name=source]")?.addEventListener("change", (event) => event.target.form.submit());
