// Parts of a page that are fetched again until they are done: <section id data-refresh="ms">.
import { showButtons, tellTimes } from "./page.js";

async function refresh(part) {
  const open = [...part.querySelectorAll("details[open]")].map((each) => each.id);
  let page;
  try {
    const response = await fetch(location.href);
    page = new DOMParser().parseFromString(await response.text(), "text/html");
  } catch {
    return part; // the server is away: try again
  }
  const fresh = page.getElementById(part.id);
  if (!fresh) return part;
  for (const id of open) fresh.querySelector(`#${CSS.escape(id)}`)?.setAttribute("open", "");
  part.replaceWith(fresh);
  tellTimes(fresh);
  showButtons(fresh);
  return fresh;
}

for (let part of document.querySelectorAll("[data-refresh]")) {
  (async () => {
    while (part.dataset.refresh) {
      await new Promise((resolve) => setTimeout(resolve, Number(part.dataset.refresh)));
      if (!document.hidden) part = await refresh(part);
    }
  })();
}
