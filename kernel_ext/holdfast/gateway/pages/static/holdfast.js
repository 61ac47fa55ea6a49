// Live news and countdowns. Every page works without this file.
"use strict";

function left(seconds) {
  if (seconds <= 0) return "time is up";
  const s = Math.floor(seconds), m = Math.floor(s / 60), h = Math.floor(m / 60), d = Math.floor(h / 24);
  return (d ? `${d} d ${h % 24} h` : h ? `${h} h ${m % 60} min` : m ? `${m} min ${s % 60} s` : `${s} s`) + " left";
}

function tick() {
  for (const one of document.querySelectorAll("[data-due]")) one.textContent = left((Date.parse(one.dataset.due) - Date.now()) / 1000);
}

// Take the parts named in data-refresh from the page as it is now; scroll, focus and what was typed elsewhere stay.
async function refresh(ids) {
  const answer = await fetch(location.href, { headers: { accept: "text/html" } });
  if (!answer.ok || answer.redirected) return false;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  const changed = ids.filter((id) => {
    const old = document.getElementById(id), now = fresh.getElementById(id);
    const differs = old && now && old.innerHTML !== now.innerHTML;
    if (differs) old.replaceWith(document.adoptNode(now));
    return differs;
  });
  const status = fresh.querySelector("h1 .state"), shown = document.querySelector("h1 .state");
  if (status && shown) shown.replaceWith(document.adoptNode(status));
  const frame = document.getElementById("outputs");
  if (frame && changed.includes("steps")) frame.src = frame.getAttribute("src");
  return true;
}

function listen(place) {
  const kinds = place.dataset.kinds.split(" "), ids = (place.dataset.refresh || "").split(" ").filter(Boolean);
  const source = new EventSource(place.dataset.live);
  let waiting = null;
  const news = (event) => {
    const entry = JSON.parse(event.data);
    if (!kinds.some((k) => k === "*" || entry.kind.startsWith(k))) return;
    if (place.dataset.key && entry.key !== place.dataset.key) return;
    if (!ids.length) { document.getElementById("news").hidden = false; return; }
    clearTimeout(waiting);
    waiting = setTimeout(() => refresh(ids).catch(() => { document.getElementById("news").hidden = false; }), 300);
  };
  // What a running cell shows: its own element takes the text; a cell that is new on the page is fetched with the page.
  source.addEventListener("output", (event) => {
    const output = JSON.parse(event.data);
    const log = document.querySelector(`[data-cell="${CSS.escape(output.cell)}"]`);
    if (!log) { if (ids.includes("running")) refresh(["running"]).catch(() => {}); return; }
    const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
    log.textContent = (output.cut ? "…\n" : "") + output.text;
    if (atEnd) log.scrollTop = log.scrollHeight;
  });
  source.addEventListener("entry", news);
  source.addEventListener("change", news);
  source.addEventListener("end", () => { source.close(); if (ids.length) setTimeout(() => refresh(ids), 400); });
}

document.addEventListener("DOMContentLoaded", () => {
  setInterval(tick, 1000);
  for (const place of document.querySelectorAll("[data-live]")) listen(place);
  const wrong = document.querySelector("[aria-invalid], #errors");
  if (wrong) wrong.focus();
});
