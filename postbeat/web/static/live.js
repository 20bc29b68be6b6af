// Keeps the page as it would be if it were loaded now: the server makes the part that changes, this puts it in.
"use strict";
(() => {
  const live = document.getElementById("live");
  if (!live) return;
  const news = document.getElementById("news");
  const form = document.querySelector("form[data-filter]");
  const AWAY = "The server does not answer.";
  const LEAST_MS = 1000, TYPED_MS = 200, AGAIN_MS = 5000, STALE_MS = 30000, SETTLED_MS = [1500, 3500];
  let settling = [], timer = null, last = 0, asked = 0, answered = 0;

  function address(fragment) {
    const url = new URL(location.href);
    if (fragment) url.searchParams.set("fragment", "1");
    url.hash = "";
    return url;
  }

  function selector(element) {
    if (!element || !live.contains(element)) return null;
    if (element.id) return "#" + CSS.escape(element.id);
    const href = element.getAttribute("href");
    if (href) return `a[href="${CSS.escape(href)}"]`;
    const label = element.getAttribute("aria-label");
    if (label) return `[aria-label="${CSS.escape(label)}"]`;
    const holder = element.closest("details[id]");
    return holder && element.tagName === "SUMMARY" ? `#${CSS.escape(holder.id)} > summary` : null;
  }

  async function refresh() {
    timer = null;
    last = Date.now();
    const number = ++asked;
    try {
      const response = await fetch(address(true), { credentials: "same-origin", redirect: "manual" });
      if (response.type === "opaqueredirect") return location.reload(); // to the login
      const text = await response.text();
      if (number < answered) return; // a newer one was quicker
      answered = number;
      if (response.ok) put(text);
      else outdated(response.headers.get("content-type")?.startsWith("text/plain") ? text : AWAY);
    } catch {
      if (number > answered) outdated(AWAY);
    }
  }

  // Says why what is shown is not of now; the next answer ends it.
  function outdated(why) {
    const said = `${why} What is shown is from before.`;
    live.dataset.outdated = "yes";
    if (news.textContent !== said) news.textContent = said; // a screen reader reads it once
  }

  function put(text) {
    if (live.dataset.outdated) news.textContent = "";
    delete live.dataset.outdated;
    const focused = selector(document.activeElement);
    const states = new Map([...live.querySelectorAll("details[id]")].map((one) => [one.id, one.open]));
    const places = new Map([...live.querySelectorAll(".scroll")].map((one) => [one.getAttribute("aria-label"), one.scrollLeft]));
    live.replaceChildren(document.createRange().createContextualFragment(text));
    for (const one of live.querySelectorAll("details[id]")) if (states.has(one.id)) one.open = states.get(one.id);
    for (const one of live.querySelectorAll(".scroll")) one.scrollLeft = places.get(one.getAttribute("aria-label")) || 0;
    if (focused) live.querySelector(focused)?.focus({ preventScroll: true });
  }

  function soon(wait) {
    if (timer === null) timer = setTimeout(refresh, Math.max(wait, last + LEAST_MS - Date.now()));
  }

  // The server may answer from a moment before the change, to spare itself: look again when that is over.
  function changed() {
    soon(0);
    settling.forEach(clearTimeout);
    settling = SETTLED_MS.map((wait) => setTimeout(() => soon(0), wait));
  }

  function filter() {
    const url = new URL(form.action);
    for (const [name, value] of new FormData(form)) if (value) url.searchParams.set(name, value);
    history.replaceState(null, "", url);
    clearTimeout(timer);
    timer = setTimeout(async () => {
      await refresh();
      const shown = document.getElementById("shown");
      if (shown && !live.dataset.outdated) news.textContent = shown.textContent;
    }, TYPED_MS);
  }

  // Only while the page is seen: a browser has few connections for all its tabs together.
  function listen(place) {
    let stream = null, missed = document.hidden;

    function begin() {
      stream = new EventSource(place);
      stream.addEventListener("change", (event) => {
        const change = JSON.parse(event.data);
        const where = change.region ? `${change.element} in ${change.region}` : change.element;
        news.textContent = `${where}: ${change.was} became ${change.verdict || change.level}. ${change.message}`;
        changed();
      });
      stream.addEventListener("result", changed);
      stream.addEventListener("reset", changed);
      stream.addEventListener("away", () => outdated("Redis does not answer."));
      stream.addEventListener("open", () => { if (missed) soon(0); missed = false; live.dataset.live = "yes"; });
      stream.addEventListener("error", ({ target }) => {
        if (!missed) soon(0);
        missed = true;
        live.dataset.live = "no";
        // A browser comes back by itself, but not where it was refused.
        if (target.readyState === EventSource.CLOSED) setTimeout(() => { if (stream === target) begin(); }, AGAIN_MS);
      });
    }

    function end() {
      stream?.close();
      stream = null;
      missed = true;
      live.dataset.live = "no";
    }

    document.addEventListener("visibilitychange", () => { if (document.hidden) end(); else begin(); });
    addEventListener("pagehide", end);
    if (!document.hidden) begin();
  }

  if (form) {
    form.addEventListener("input", filter);
    form.addEventListener("submit", (event) => { event.preventDefault(); filter(); });
  }
  if (live.dataset.stream) listen(live.dataset.stream);
  const every = Number(live.dataset.every || 0) * 1000 || STALE_MS;
  setInterval(() => { if (!document.hidden) soon(0); }, every);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) soon(0); });
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
})();
