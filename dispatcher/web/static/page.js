// What every page can do beyond HTML: times in the viewer's zone, copying, keys.

const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

/** `4 min 12 s`: the two largest units, as the server writes them. */
export function duration(seconds) {
  const milliseconds = Math.round(seconds * 1000);
  if (milliseconds < 1000) return `${milliseconds} ms`;
  let left = Math.floor(milliseconds / 1000);
  const parts = [];
  for (const [size, unit] of UNITS) {
    const count = Math.floor(left / size);
    left %= size;
    if (count) parts.push(`${count} ${unit}`);
    if (parts.length === 2 || (parts.length && !count)) break;
  }
  return parts.join(" ");
}

function distance(seconds) {
  if (Math.abs(seconds) < 1) return "now";
  return seconds > 0 ? `in ${duration(seconds)}` : `${duration(-seconds)} ago`;
}

// The server's clock may be moved (sandbox) or faster: distances count from what it said.
let serverNow = Date.parse(document.documentElement.dataset.now ?? "") || Date.now();
const speed = Number(document.documentElement.dataset.speed) || 1;
let loadedAt = Date.now();

export function now() {
  return serverNow + (Date.now() - loadedAt) * speed;
}

/** What the server has just said that it is: its clock may have been moved since the page came. */
export function clockIs(instant) {
  serverNow = Date.parse(instant);
  loadedAt = Date.now();
}

export function tellTimes(root = document) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const at = Date.parse(time.dateTime);
    time.textContent = distance((at - now()) / 1000);
    if (!time.dataset.local) {
      time.dataset.local = "yes";
      time.title = new Date(at).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long" });
    }
  }
}

export function showButtons(root = document) {
  for (const button of root.querySelectorAll("button.copy")) button.hidden = !navigator.clipboard;
}

// What is copied: what the button says, or the text before it.
async function copy(button) {
  await navigator.clipboard.writeText(button.dataset.copy ?? button.previousElementSibling.textContent);
  const words = button.textContent;
  button.textContent = "copied";
  setTimeout(() => { button.textContent = words; }, 1500);
}

// A long id is shown cut; whoever selects and copies it gets the whole.
document.addEventListener("copy", (event) => {
  const selection = document.getSelection();
  const cut = selection?.anchorNode?.parentElement?.closest("[data-copy].id");
  if (cut && cut === selection.focusNode?.parentElement?.closest("[data-copy].id")) {
    event.clipboardData.setData("text/plain", cut.dataset.copy);
    event.preventDefault();
  }
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("button.copy");
  if (button) copy(button);
});

// --- keys -------------------------------------------------------------------------------------

const rows = () => [...document.querySelectorAll("[data-rows] > [data-href]")];
const chosen = () => document.querySelector("[data-rows] > .chosen");

function choose(step) {
  const all = rows();
  if (!all.length) return;
  const at = all.indexOf(chosen());
  const next = all[Math.min(all.length - 1, Math.max(0, at + step))];
  chosen()?.classList.remove("chosen");
  next.classList.add("chosen");
  next.scrollIntoView({ block: "nearest" });
  next.querySelector("a")?.focus({ preventScroll: true });
}

const GO = { i: "/", p: "/dispatches", e: "/endpoints" };
let goes = 0;

function pressed(key) {
  if (goes && Date.now() - goes < 1500 && GO[key]) { location.href = GO[key]; return true; }
  goes = key === "g" ? Date.now() : 0;
  if (key === "g") return true;
  if (key === "/") { document.querySelector("input[type=search]")?.focus(); return true; }
  if (key === "j") { choose(1); return true; }
  if (key === "k") { choose(-1); return true; }
  if (key === "?") { document.querySelector("#keys").showModal(); return true; }
  if (key === "Enter" && chosen() && document.activeElement === document.body) {
    location.href = chosen().dataset.href;
    return true;
  }
  if (key === "Escape") {
    const close = document.querySelector("a[data-close]");
    if (close && !document.querySelector("dialog[open]")) { location.href = close.href; return true; }
  }
  return false;
}

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select");
  if (typing) {
    if (event.key === "Escape") typing.blur();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (pressed(event.key)) event.preventDefault();
});

tellTimes();
showButtons();
setInterval(tellTimes, 1000);
