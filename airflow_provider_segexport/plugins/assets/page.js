// The pages work without this script; it sorts, filters, follows Airflow's theme and keeps a running task's tab fresh.
"use strict";

const number = new Intl.NumberFormat("en");

// A count with its noun, whose plural ends in s.
const counted = (count, noun) => `${number.format(count)} ${noun}${count === 1 ? "" : "s"}`;

// --- Airflow's theme and its window -------------------------------------------------------------------------------

// Airflow's page has the class `dark` or `light`; outside it, the page follows the theme that Airflow stored, or the system.
function airflow() {
  try {
    return window.parent !== window && window.parent.document.documentElement ? window.parent : null;
  } catch {
    return null; // embedded by another site
  }
}

function follow() {
  const host = airflow();
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    let dark = system.matches;
    if (host) {
      dark = host.document.documentElement.classList.contains("dark");
    } else {
      try {
        const stored = localStorage.getItem("theme");
        if (stored === "dark" || stored === "light") dark = stored === "dark";
      } catch { /* storage may be disabled */ }
    }
    document.documentElement.dataset.theme = dark ? "dark" : "light";
  };
  apply();
  system.addEventListener("change", apply);
  window.addEventListener("storage", apply);
  if (host) {
    const watch = new MutationObserver(apply);
    watch.observe(host.document.documentElement, { attributes: true, attributeFilter: ["class"] });
    window.addEventListener("pagehide", () => watch.disconnect());
  }
}

// The frame's sandbox blocks links out of it, so Airflow's page follows links to its own pages and to the vendor's.
function leave(event) {
  const link = event.target instanceof Element ? event.target.closest("a[data-out]") : null;
  const host = airflow();
  if (!link || !host || event.button > 1) return; // the right button opens the browser's menu
  event.preventDefault();
  const outer = host.document.createElement("a");
  outer.href = link.href;
  outer.rel = "noopener noreferrer";
  if (link.dataset.out === "new" || event.ctrlKey || event.metaKey || event.shiftKey || event.button === 1) outer.target = "_blank";
  host.document.body.append(outer);
  outer.click();
  outer.remove();
}

// --- The list: sorting and filtering ------------------------------------------------------------------------------

function sorting(table) {
  const body = table.tBodies[0];
  const numbers = new Set(["rank", "ran", "members", "rejects", "due"]);
  const downFirst = new Set(["ran", "members", "rejects"]);
  table.tHead.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-sort]");
    if (!button) return;
    const head = button.closest("th");
    const by = button.dataset.sort;
    const before = head.getAttribute("aria-sort");
    const up = before ? before === "descending" : !downFirst.has(by);
    const value = (row) => (numbers.has(by) ? Number(row.dataset[by]) : row.dataset[by]);
    const sign = up ? 1 : -1;
    const rows = [...body.rows].map((row) => [value(row), row]);
    rows.sort(([a], [b]) => sign * (numbers.has(by) ? (a === b ? 0 : a < b ? -1 : 1) : a.localeCompare(b, "en", { numeric: true })));
    body.append(...rows.map(([, row]) => row));
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    state_.write({ sort: `${by}-${up ? "up" : "down"}` });
  });
  const [by, way] = (state_.read().sort || "").split("-");
  const button = by && table.tHead.querySelector(`button[data-sort="${CSS.escape(by)}"]`);
  if (!button) return;
  for (let clicks = 0; clicks < 2; clicks += 1) {
    const sorted = button.closest("th").getAttribute("aria-sort");
    if (sorted !== (way === "up" ? "ascending" : "descending")) button.click();
  }
}

// Filters and order are in the address of this page, so that Back finds them, and in that of Airflow's page. Airflow 3.3
// shows this page's path and query there, but only when a page loads; Airflow 3.2 does not, so there they are behind `#`.
const state_ = {
  names: ["q", "state", "vendor", "sort"],
  host() {
    const host = airflow();
    return host && /\/segment_exports(\/|$)/.test(host.location.pathname) ? host : null;
  },
  read() {
    let params = new URLSearchParams(location.search);
    const host = this.host();
    if (![...params].length && host) params = new URLSearchParams(host.location.hash.slice(1));
    return Object.fromEntries(this.names.map((name) => [name, params.get(name) || ""]));
  },
  write(changes) {
    const all = { ...this.read(), ...changes };
    const params = new URLSearchParams(Object.entries(all).filter(([name, value]) => value && this.names.includes(name)));
    const query = params.toString();
    history.replaceState(history.state, "", query ? `?${query}` : location.pathname);
    const host = this.host();
    if (!host) return;
    const mirrored = /\/segment_exports\/./.test(host.location.pathname);
    const path = host.location.pathname + (mirrored ? "" : host.location.search);
    host.history.replaceState(host.history.state, "", path + (query ? `${mirrored ? "?" : "#"}${query}` : ""));
  },
};

// The list refreshes itself once a minute while it is in sight.
function refreshing(list) {
  const lost = document.getElementById("lost");
  const again = async () => {
    if (document.hidden) return setTimeout(again, 5000);
    try {
      const reply = await fetch(list.dataset.source, { credentials: "same-origin" });
      if (!reply.ok) throw new Error(reply.status === 401 ? "You are logged out. Log in again to see the newest state." : `Airflow responded with status ${reply.status}.`);
      const page = new DOMParser().parseFromString(await reply.text(), "text/html").getElementById("list");
      if (!page) throw new Error("Airflow responded with another page.");
      lost.hidden = true;
      renew(list, page);
    } catch (error) {
      lost.textContent = `${error.message} This page shows an earlier state.`;
      lost.hidden = false;
    }
    setTimeout(again, Number(list.dataset.every || 60000));
  };
  setTimeout(again, Number(list.dataset.every || 60000));
}

function renew(list, page) {
  const focused = document.activeElement;
  const id = focused?.id;
  const key = focused?.closest?.("tr[data-key]")?.dataset.key;
  const caret = id === "find" ? focused.selectionStart : null;
  list.replaceChildren(...page.childNodes);
  begin();
  const next = id ? document.getElementById(id) : key ? list.querySelector(`tr[data-key="${CSS.escape(key)}"] a`) : null;
  next?.focus({ preventScroll: true });
  if (caret !== null) next?.setSelectionRange(caret, caret);
}

// --- Times in the time zone that is chosen in Airflow's UI ----------------------------------------------------------

function zone() {
  try {
    const stored = JSON.parse(localStorage.getItem("timezone") || '"UTC"');
    return stored === "local" ? undefined : new Intl.DateTimeFormat("en", { timeZone: stored }).resolvedOptions().timeZone;
  } catch { return "UTC"; }
}

function clock(moment) {
  const options = { timeZone: zone(), year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23", timeZoneName: "short" };
  const parts = Object.fromEntries(new Intl.DateTimeFormat("en-GB", options).formatToParts(moment).map(({ type, value }) => [type, value]));
  return `${parts.year}-${parts.month}-${parts.day} ${parts.hour}:${parts.minute}:${parts.second} ${parts.timeZoneName}`;
}

function times() {
  for (const time of document.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.getAttribute("datetime"));
    if (Number.isNaN(moment.getTime())) continue;
    const text = clock(moment);
    if ("clock" in time.dataset && time.textContent !== text) time.textContent = text;
    if ("title" in time.dataset) time.title = text;
  }
}

function filtering(table) {
  const rows = [...table.tBodies[0].rows];
  const saved = state_.read();
  const find = document.getElementById("find");
  const vendor = document.getElementById("vendor");
  const chips = [...document.querySelectorAll(".chip")];
  const shown = document.getElementById("shown");
  const nothing = document.getElementById("nothing");
  let state = "";
  const apply = () => {
    state_.write({ q: find.value, state, vendor: vendor ? vendor.value : "" });
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of rows) {
      const fits = (!state || row.dataset.state === state) && (!vendor || !vendor.value || row.dataset.vendor === vendor.value)
        && words.every((word) => row.dataset.text.includes(word));
      row.hidden = !fits;
      count += fits;
    }
    shown.textContent = `${count} of ${counted(rows.length, "audience")} shown`;
    nothing.hidden = count > 0;
    table.hidden = count === 0;
  };
  const choose = (chip) => {
    state = chip.dataset.state;
    for (const other of chips) other.setAttribute("aria-pressed", String(other === chip));
    apply();
  };
  find.addEventListener("input", apply);
  vendor?.addEventListener("change", apply);
  for (const chip of chips) chip.addEventListener("click", () => choose(chip));
  if (saved.q) find.value = saved.q;
  if (saved.vendor && vendor) vendor.value = saved.vendor;
  choose(chips.find((chip) => chip.dataset.state === (saved.state || "")) || chips[0]);
  document.getElementById("clear").addEventListener("click", () => {
    find.value = "";
    if (vendor) vendor.value = "";
    choose(chips[0]);
    find.focus();
  });
}

// --- The history: one cursor over all charts ----------------------------------------------------------------------

function scrubbing(history) {
  const columns = JSON.parse(history.dataset.columns).map(([moment, , end]) => `${clock(new Date(moment * 1000))}, ${end}`);
  const figures = [...history.querySelectorAll("figure")].map((figure) => ({
    values: JSON.parse(figure.dataset.values),
    output: figure.querySelector("output"),
    cursor: figure.querySelector(".cursor"),
    plot: figure.querySelector(".plot"),
  }));
  const range = document.getElementById("run");
  const picked = document.getElementById("picked");
  if (!range) return;
  const show = (index) => {
    range.value = index;
    picked.textContent = columns[index];
    range.setAttribute("aria-valuetext", `${columns[index]}: ${counted(figures[0].values[index], "member")}`);
    for (const { values, output, cursor } of figures) {
      output.textContent = number.format(values[index]);
      cursor.hidden = false;
      cursor.style.left = `${(100 * (index + 0.5)) / columns.length}%`;
    }
  };
  range.addEventListener("input", () => show(Number(range.value)));
  for (const { plot } of figures) {
    plot.addEventListener("pointermove", (event) => {
      const box = plot.getBoundingClientRect();
      const at = Math.floor(((event.clientX - box.left) / box.width) * columns.length);
      show(Math.min(columns.length - 1, Math.max(0, at)));
    });
  }
}

// --- The tab of a running task ------------------------------------------------------------------------------------

function living(live) {
  const lost = document.getElementById("lost");
  let failures = 0;
  let source = "";
  const again = () => Number(live.querySelector("[data-again]")?.dataset.again || 0);
  const ask = async () => {
    if (document.hidden) return setTimeout(ask, 3000);
    let wait = 0;
    try {
      const reply = await fetch(live.dataset.source, { credentials: "same-origin" });
      if (!reply.ok) throw new Error(reply.status === 401 ? "You are logged out. Log in again to see the progress." : `Airflow responded with status ${reply.status}.`);
      const text = await reply.text();
      const page = new DOMParser().parseFromString(text, "text/html").querySelector("[data-again]");
      if (!page) throw new Error("Airflow responded with another page.");
      if (page.outerHTML !== source) live.replaceChildren(page);
      source = page.outerHTML;
      times();
      failures = 0;
      lost.hidden = true;
      wait = again();
    } catch (error) {
      failures += 1;
      lost.textContent = `${error.message} This page shows an earlier state.`;
      lost.hidden = false;
      wait = Math.min(60000, 3000 * 2 ** failures);
    }
    if (wait) setTimeout(ask, wait);
  };
  if (again()) setTimeout(ask, again());
}

// --- Small things -------------------------------------------------------------------------------------------------

function pressing(event) {
  const button = event.target instanceof Element ? event.target.closest("button") : null;
  if (!button) return;
  if (button.dataset.more) {
    for (const row of document.querySelectorAll(`table.${button.dataset.more} tr[hidden]`)) row.hidden = false;
    button.remove();
  } else if (button.dataset.copy) {
    const text = document.getElementById(button.dataset.copy);
    navigator.clipboard?.writeText(text.textContent).then(() => { button.textContent = "Copied"; }, () => select(text));
    if (!navigator.clipboard) select(text);
  }
}

function select(element) {
  const range = document.createRange();
  range.selectNodeContents(element);
  getSelection().removeAllRanges();
  getSelection().addRange(range);
}

follow();
document.addEventListener("click", leave);
document.addEventListener("auxclick", leave);
document.addEventListener("click", pressing);
function begin() {
  const table = document.getElementById("audiences");
  if (table) {
    sorting(table);
    filtering(table);
  }
  times();
}
begin();
window.addEventListener("storage", times);
const list = document.getElementById("list");
if (list) refreshing(list);
const history_ = document.querySelector(".history");
if (history_) scrubbing(history_);
const live = document.getElementById("live");
if (live) living(live);
