// The sandbox's page: what is live on it, and the count below the text of a message.
//
// Every two seconds the page is asked for again, and the parts marked data-live are brought up to
// date in place. New rows come in at once only while nobody reads: otherwise a button tells of them.

import { clockIs, showButtons, tellTimes } from "./page.js";

const EVERY = 2000;

/** What a part says, without what changes with time alone. */
function said(part) {
  const copy = part.cloneNode(true);
  for (const time of copy.querySelectorAll("time")) time.textContent = time.title = "";
  for (const details of copy.querySelectorAll("details")) details.removeAttribute("open");
  for (const each of [copy, ...copy.querySelectorAll("*")]) {
    for (const name of ["class", "hidden", "data-local"]) each.removeAttribute(name);
  }
  return copy.innerHTML.replace(/\s+/g, " ");
}

function put(old, fresh) {
  const opened = [...old.querySelectorAll("details")].map((each) => each.open);
  fresh.querySelectorAll("details").forEach((each, at) => { if (opened[at]) each.open = true; });
  if (old.classList.contains("chosen")) fresh.classList.add("chosen");
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  old.replaceWith(fresh);
  if (focused?.href) fresh.querySelector(`a[href="${CSS.escape(focused.getAttribute("href"))}"]`)?.focus({ preventScroll: true });
  tellTimes(fresh);
  showButtons(fresh);
}

function isRead(list) {
  return window.scrollY > 60 || list.contains(document.activeElement)
    || !(document.getSelection()?.isCollapsed ?? true)
    || list.querySelector("details[open]") !== null;
}

function patchList(old, fresh) {
  const rows = old.querySelector("[data-rows]");
  const freshRows = fresh.querySelector("[data-rows]");
  if (!rows || !freshRows) {
    if (said(old) !== said(fresh)) put(old, fresh);
    return;
  }
  const come = [];
  for (const row of [...freshRows.children]) {
    const known = document.getElementById(row.id);
    if (!known) come.push(row);
    else if (said(known) !== said(row)) put(known, row);
  }
  if (rows.dataset.grows === undefined || !come.length) return;
  if (isRead(old)) offer(old, rows, come);
  else add(old, rows, come);
}

function add(list, rows, come) {
  for (const row of come) row.classList.add("fresh");
  rows.prepend(...come);
  tellTimes(rows);
  showButtons(rows);
  list.querySelector("[data-news]").hidden = true;
}

function offer(list, rows, come) {
  const news = list.querySelector("[data-news]");
  const button = news.querySelector("button");
  button.textContent = `${come.length} new`;
  button.onclick = () => { add(list, rows, come); window.scrollTo({ top: 0 }); };
  news.hidden = false;
}

function patch(old, fresh) {
  if (old.dataset.live === "list") patchList(old, fresh);
  else if (old.dataset.live !== "clock" && old.contains(document.activeElement)) return;
  else if (old.dataset.live === "clock" || said(old) !== said(fresh)) put(old, fresh);
}

async function look() {
  if (document.visibilityState !== "visible") return;
  const silent = document.querySelector("#sandbox-silent");
  try {
    const response = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!response.ok) return;
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    clockIs(page.documentElement.dataset.now);
    for (const old of document.querySelectorAll("[data-live]")) {
      const fresh = page.querySelector(`[data-live="${old.dataset.live}"]`);
      if (fresh) patch(old, fresh);
    }
    silent.hidden = true;
  } catch {
    silent.hidden = false;
  }
}

async function goOn() {
  await look();
  setTimeout(goOn, EVERY);
}

// A page that shows what was refused came by a form, and cannot be asked for again.
if (location.pathname === "/sandbox") setTimeout(goOn, EVERY);

// --- how a text will go -----------------------------------------------------------------------

const QUERY_MOST = 7000; // bytes that surely fit into the address of a request

const form = document.querySelector("#compose form");
const output = document.querySelector("#count");
let asked = 0;

async function count() {
  const mine = ++asked;
  const query = new URLSearchParams({
    text: form.elements.text.value,
    language: form.elements.language.value,
    transliteration: form.elements.transliteration.value,
  }).toString();
  if (!form.elements.text.value) { output.textContent = ""; return; }
  if (query.length > QUERY_MOST) { output.textContent = "A long text: it is counted when it is sent."; return; }
  const response = await fetch(`/sandbox/page/preview?${query}`).catch(() => null);
  const words = response?.ok ? await response.text() : "";
  if (mine === asked) output.textContent = words;
}

if (form) {
  let waiting = 0;
  form.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(count, 150);
  });
  if (form.elements.text.value) count();
}
