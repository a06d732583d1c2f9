// The pages work without this script. It sorts, filters, follows Airflow's theme and refreshes the tab of a running task.
"use strict";

const number = new Intl.NumberFormat("en");

// Returns a count with its noun, whose plural ends in s.
const counted = (count, noun) => `${number.format(count)} ${noun}${count === 1 ? "" : "s"}`;

// --- Airflow's theme and its window -------------------------------------------------------------------------------

// Returns the window of Airflow's page, in whose frame this page is; null outside it.
function airflow() {
  try {
    return window.parent !== window && window.parent.document.documentElement ? window.parent : null;
  } catch {
    return null; // embedded by another site
  }
}

// Follows the theme of Airflow's page; outside it, the theme that Airflow has stored, or that of the system.
function followTheme() {
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

// The frame's sandbox blocks links to other pages, so Airflow's page follows the links to its pages and to the vendor's.
function openOutside(event) {
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

// Sorts the table of audiences by the column whose heading is clicked.
function enableSorting(table) {
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
    addressState.write({ sort: `${by}-${up ? "up" : "down"}` });
  });
  const [by, way] = (addressState.read().sort || "").split("-");
  const button = by && table.tHead.querySelector(`button[data-sort="${CSS.escape(by)}"]`);
  if (!button) return;
  for (let clicks = 0; clicks < 2; clicks += 1) {
    const sorted = button.closest("th").getAttribute("aria-sort");
    if (sorted !== (way === "up" ? "ascending" : "descending")) button.click();
  }
}

// Stores filters and order in the address of this page, so that Back restores them, and in the address of Airflow's page.
// Airflow 3.3 shows this page's path and query there, but only when a page loads. Airflow 3.2 does not, so there they
// are stored behind `#`.
const addressState = {
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

// Refreshes the list once a minute while the browser shows the page.
function refreshList(list) {
  const lost = document.getElementById("lost");
  const refresh = async () => {
    if (document.hidden) return setTimeout(refresh, 5000);
    try {
      const reply = await fetch(list.dataset.source, { credentials: "same-origin" });
      if (!reply.ok) throw new Error(reply.status === 401 ? "You are logged out. Log in again to see the newest state." : `Airflow responded with status ${reply.status}.`);
      const page = new DOMParser().parseFromString(await reply.text(), "text/html").getElementById("list");
      if (!page) throw new Error("Airflow responded with another page.");
      lost.hidden = true;
      replaceList(list, page);
    } catch (error) {
      lost.textContent = `${error.message} This page shows an earlier state.`;
      lost.hidden = false;
    }
    setTimeout(refresh, Number(list.dataset.every || 60000));
  };
  setTimeout(refresh, Number(list.dataset.every || 60000));
}

// Replaces the content of the list, and restores the focus.
function replaceList(list, page) {
  const focused = document.activeElement;
  const id = focused?.id;
  const key = focused?.closest?.("tr[data-key]")?.dataset.key;
  const caret = id === "find" ? focused.selectionStart : null;
  list.replaceChildren(...page.childNodes);
  enableList();
  const next = id ? document.getElementById(id) : key ? list.querySelector(`tr[data-key="${CSS.escape(key)}"] a`) : null;
  next?.focus({ preventScroll: true });
  if (caret !== null) next?.setSelectionRange(caret, caret);
}

// --- Times in the time zone that is chosen in Airflow's UI ----------------------------------------------------------

// Returns the time zone; undefined for the browser's own.
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

// Shows each time in the time zone of Airflow's UI.
function showTimes() {
  for (const time of document.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.getAttribute("datetime"));
    if (Number.isNaN(moment.getTime())) continue;
    const text = clock(moment);
    if ("clock" in time.dataset && time.textContent !== text) time.textContent = text;
    if ("title" in time.dataset) time.title = text;
  }
}

// Shows the audiences that match the search text, the state and the vendor.
function enableFilters(table) {
  const rows = [...table.tBodies[0].rows];
  const saved = addressState.read();
  const find = document.getElementById("find");
  const vendor = document.getElementById("vendor");
  const chips = [...document.querySelectorAll(".chip")];
  const shown = document.getElementById("shown");
  const nothing = document.getElementById("nothing");
  let state = "";
  const apply = () => {
    addressState.write({ q: find.value, state, vendor: vendor ? vendor.value : "" });
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

// Shows the values of the run under the pointer, or of the run that the range input selects, in all charts.
function enableCursor(history) {
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

// Refreshes the tab while its task runs.
function refreshTab(live) {
  const lost = document.getElementById("lost");
  let failures = 0;
  let source = "";
  const refreshMs = () => Number(live.querySelector("[data-refresh-ms]")?.dataset.refreshMs || 0); // 0 if the task has ended
  const refresh = async () => {
    if (document.hidden) return setTimeout(refresh, 3000);
    let wait = 0;
    try {
      const reply = await fetch(live.dataset.source, { credentials: "same-origin" });
      if (!reply.ok) throw new Error(reply.status === 401 ? "You are logged out. Log in again to see the progress." : `Airflow responded with status ${reply.status}.`);
      const text = await reply.text();
      const page = new DOMParser().parseFromString(text, "text/html").querySelector("[data-refresh-ms]");
      if (!page) throw new Error("Airflow responded with another page.");
      if (page.outerHTML !== source) live.replaceChildren(page);
      source = page.outerHTML;
      showTimes();
      failures = 0;
      lost.hidden = true;
      wait = refreshMs();
    } catch (error) {
      failures += 1;
      lost.textContent = `${error.message} This page shows an earlier state.`;
      lost.hidden = false;
      wait = Math.min(60000, 3000 * 2 ** failures);
    }
    if (wait) setTimeout(refresh, wait);
  };
  if (refreshMs()) setTimeout(refresh, refreshMs());
}

// --- Buttons -------------------------------------------------------------------------------------------------

function pressButton(event) {
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

followTheme();
document.addEventListener("click", openOutside);
document.addEventListener("auxclick", openOutside);
document.addEventListener("click", pressButton);
function enableList() {
  const table = document.getElementById("audiences");
  if (table) {
    enableSorting(table);
    enableFilters(table);
  }
  showTimes();
}
enableList();
window.addEventListener("storage", showTimes);
const list = document.getElementById("list");
if (list) refreshList(list);
const historyCharts = document.querySelector(".history");
if (historyCharts) enableCursor(historyCharts);
const live = document.getElementById("live");
if (live) refreshTab(live);
