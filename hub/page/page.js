// The plain page: one query, its rows, one entry. Text from the network goes in as text nodes, never as HTML.
const $ = (id) => document.getElementById(id);
const MAX_ROWS = 5000; // a plain table stays quick up to here; the limit is said, not hidden
let running = null;

function cell(row, text) {
  const td = row.insertCell();
  td.textContent = text ?? "";
  td.title = td.textContent;
}

function addRow(entry) {
  const row = $("rows").insertRow();
  row.dataset.id = entry.id;
  row.tabIndex = -1;
  if (entry.error) row.className = "failed";
  const end = (side) => `${side.ip.includes(":") ? `[${side.ip}]` : side.ip}:${side.port}`;
  const time = new Date(entry.timestamp).toISOString().slice(11, 23);
  for (const text of [time, entry.proto.abbr, entry.method, entry.status, end(entry.src), end(entry.dst), entry.summary, entry.elapsedTime || ""]) cell(row, text);
}

function say(text, bad = false) {
  $("status").textContent = text;
  $("status").className = bad ? "bad" : "";
}

async function* lines(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    for (const part of parts) yield JSON.parse(part);
  }
}

async function query(kfl) {
  running?.abort();
  const mine = (running = new AbortController());
  $("rows").replaceChildren();
  say("reading …");
  try {
    const response = await fetch(`api/v1/query?${new URLSearchParams({ kfl, limit: MAX_ROWS })}`, { signal: mine.signal });
    if (!response.ok) return say((await response.json()).error ?? response.statusText, true);
    let count = 0;
    const problems = [];
    for await (const line of lines(response)) {
      if (line.problem) problems.push(line.problem);
      else {
        addRow(line);
        if (++count % 200 === 0) say(`${count} entries …`);
      }
    }
    const cut = count === MAX_ROWS ? " (the first ones: narrow the filter)" : "";
    say(problems.length ? problems.join("; ") : `${count} entries${cut}`, problems.length > 0);
  } catch (error) {
    if (error.name !== "AbortError") say(`the hub does not answer: ${error.message}`, true);
  }
}

function element(tag, text) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  return made;
}

function section(part) {
  const box = element("div");
  box.append(element("h3", part.title));
  if (part.type === "table") {
    const table = element("table");
    for (const { name, value } of part.tableData) {
      const row = table.insertRow();
      cell(row, name);
      cell(row, value === null ? "" : String(value));
    }
    box.append(table);
  } else if (part.type === "timeline") {
    const arrows = { client: "→", server: "←" };
    const line = ({ t, label, direction }) => `${(t / 1e6).toFixed(6)} s  ${arrows[direction] ?? " "} ${label}`;
    box.append(element("pre", (part.points ?? []).map(line).join("\n")));
  } else {
    box.append(element("pre", part.encoding === "base64" && part.type !== "hex" ? atob(part.body) : part.body));
  }
  return box;
}

async function show(id) {
  const response = await fetch(`api/v1/entries/${encodeURIComponent(id)}`);
  if (!response.ok) return say(`entry ${id}: ${response.status}`, true);
  const { representation, data } = await response.json();
  const close = element("button", "Close");
  close.onclick = () => { $("detail").hidden = true; document.querySelector("main").className = ""; };
  $("detail").replaceChildren(close, element("h2", `${data.protocol.longName} ${id}`));
  for (const part of ["request", "response", "event", "data"]) {
    if (!representation[part]?.length) continue;
    $("detail").append(element("h2", part), ...representation[part].map(section));
  }
  if (data.error) $("detail").append(element("p", `${data.error.type}: ${data.error.msg}`));
  $("detail").hidden = false;
  document.querySelector("main").className = "split";
}

$("filter").addEventListener("submit", (event) => {
  event.preventDefault();
  const kfl = $("kfl").value;
  history.replaceState(null, "", `?${new URLSearchParams({ kfl })}`);
  query(kfl);
});
function choose(row) {
  document.querySelectorAll("[aria-selected]").forEach((other) => other.removeAttribute("aria-selected"));
  row.setAttribute("aria-selected", "true");
  row.focus();
}
$("rows").addEventListener("click", (event) => {
  const row = event.target.closest("tr");
  choose(row);
  show(row.dataset.id);
});
$("list").addEventListener("keydown", (event) => {
  const rows = [...$("rows").rows];
  const at = rows.findIndex((row) => row.getAttribute("aria-selected"));
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step && rows.length) { event.preventDefault(); choose(rows[Math.max(0, Math.min(rows.length - 1, at + step))]); }
  if (event.key === "Enter" && at >= 0) show(rows[at].dataset.id);
});
$("kfl").value = new URLSearchParams(location.search).get("kfl") ?? "";
query($("kfl").value);
