// A replay that is under way: its progress is asked for again as long as it runs and is looked at.
import { tellTimes } from "./page.js";

const EVERY_MS = 1000;
const SHARE = 10;  // an answer that takes long is asked for less often: the next one waits so many times as long

/** The page as it is now; null when it cannot be had: the server may be starting again. */
async function asked() {
  try {
    const answer = await fetch(location.pathname);
    if (answer.redirected) location.reload();  // signed out
    return answer.ok ? new DOMParser().parseFromString(await answer.text(), "text/html") : null;
  } catch {
    return null;
  }
}

async function look() {
  const begun = Date.now();
  const page = document.hidden ? null : await asked();
  const fresh = page?.querySelector("#live");
  if (fresh && fresh.dataset.state !== "running") {
    document.querySelector("#main").replaceChildren(...page.querySelector("#main").childNodes);
    tellTimes();
    return;
  }
  if (fresh) {
    document.querySelector("#live").replaceWith(fresh);
    tellTimes();
  }
  setTimeout(look, Math.max(EVERY_MS, SHARE * (Date.now() - begun)));
}

setTimeout(look, EVERY_MS);
