
"use strict";
// The operators' page. Everything it shows is fetched from the API and set as text, never as markup.
const at = (id) => document.getElementById(id);
const everyMS = 2000;
let token = sessionStorage.getItem("wse-admin-token") || "";
let before = null; // the status before the last, for rates
let timer = 0;
let turn = 0; // of the newest refresh: an older one that is still waiting shows nothing any more

async function call(method, path, document) {
  const headers = token ? { Authorization: "Bearer " + token } : {};
  if (document !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(path, { method, headers, body: document === undefined ? undefined : JSON.stringify(document) });
  const text = await answer.text();
  const body = text ? JSON.parse(text) : {};
  if (answer.ok) return body;
  const error = new Error(body.detail || answer.statusText);
  error.status = answer.status;
  throw error;
}

function say(text, bad) {
  at("notice").textContent = text;
  at("notice").className = bad ? "bad" : "";
  at("notice").hidden = !text;
}

function element(name, text, className) {
  const e = document.createElement(name);
  if (text !== undefined) e.textContent = text;
  if (className) e.className = className;
  return e;
}

const count = (n) => Number(n).toLocaleString("en");

function bytes(n) {
  for (const unit of ["B", "KiB", "MiB", "GiB"]) {
    if (n < 1024 || unit === "GiB") return (unit === "B" ? n : n.toFixed(1)) + " " + unit;
    n /= 1024;
  }
}

function span(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 120) return s + " s";
  if (s < 7200) return Math.round(s / 60) + " min";
  if (s < 172800) return Math.round(s / 3600) + " h";
  return Math.round(s / 86400) + " d";
}

// table fills a table; a column is [title, value of a row, kind], and a value may be an element.
function table(id, columns, rows) {
  const head = element("tr");
  for (const [title, , kind] of columns) head.append(element("th", title, kind));
  const lines = rows.map((row) => {
    const line = element("tr");
    for (const [, value, kind] of columns) {
      const cell = element("td", undefined, kind);
      cell.append(value(row) ?? "");
      line.append(cell);
    }
    return line;
  });
  if (!rows.length) lines.push(element("tr", "none"));
  at(id).replaceChildren(head, ...lines);
}

function press(text, action) {
  const b = element("button", text, "plain");
  b.type = "button";
  b.addEventListener("click", action);
  return b;
}

const sum = (o) => Object.values(o || {}).reduce((a, b) => a + b, 0);

function figures(s) {
  const e = s.engine, now = Date.now();
  const rate = (of) => {
    if (!before || now <= before.at) return "…";
    return count(Math.max(0, Math.round(((of(s) - of(before.status)) * 1000) / (now - before.at)))) + "/s";
  };
  const list = [
    ["connections", count(e.connections)],
    ["deliveries", rate((x) => x.engine.deliveries)],
    ["publications", rate((x) => x.engine.broker.published)],
    ["messages in", rate((x) => x.engine.messages_received)],
    ["bytes out", bytes(e.bytes_sent)],
    ["queued", bytes(e.queued_bytes)],
    ["dropped", count(sum(e.dropped))],
    ["topics", count(e.broker.topics)],
    ["kept", bytes(e.broker.bytes_kept) + " of " + bytes(e.broker.bytes_kept_max)],
    ["events refused", count(s.ingest.refused)],
    ["dead letters", count(s.ingest.dead_letter)],
    ["up for", span(s.uptime_s * 1000)],
  ];
  at("figures").replaceChildren(...list.map(([name, value]) => {
    const box = element("div");
    box.append(element("dt", name), element("dd", value));
    return box;
  }));
  before = { at: now, status: s };
}

function head(s) {
  at("state").textContent = s.ready ? "ready" : "not ready: " + s.not_ready;
  at("state").className = "state " + (s.ready ? "good" : "bad");
  at("about").textContent = s.version + " · " + s.go;
}

const pluginPath = (name) => "/api/v1/plugins/" + encodeURIComponent(name);
const by = (how, who) => [how, who].filter(Boolean).join(" ");
let shown = ""; // the plugin that is shown with its versions

function plugins(body) {
  table("plugins", [
    ["name", (p) => press(p.name, () => { shown = p.name; refresh(); })],
    ["version", (p) => p.version],
    ["kinds", (p) => (p.kinds || []).join(", ")],
    ["bound to", (p) => (p.bind || []).join(", "), "wide"],
    ["breaker", (p) => element("span", p.breaker, p.breaker === "closed" ? "" : "bad")],
    ["instances", (p) => count(p.instances), "number"],
    ["calls", (p) => Object.entries(p.calls || {}).map(([k, v]) => k + " " + count(v)).join(", "), "wide"],
    ["shadow", (p) => p.shadow || "–"],
    ["dead letters", (p) => count(p.dead_letters), "number"],
    ["serving for", (p) => span(Date.now() - Date.parse(p.since))],
    ["by", (p) => by(p.how, p.who)],
  ], body.plugins);
}

function plugin(p) {
  at("plugin").hidden = !p;
  if (!p) return;
  at("plugin-name").textContent = p.name;
  at("plugin-serving").textContent = p.version + " serves; " + count(p.recorded) + " events are recorded to try a candidate on";
  table("versions", [
    ["version", (v) => v.version],
    ["made", (v) => span(Date.now() - Date.parse(v.time)) + " ago"],
    ["by", (v) => by(v.how, v.who)],
    ["bytes", (v) => bytes(v.bytes), "number"],
    ["", (v) => v.serving ? "serves" : press("let it serve", () => rollback(p.name, v.version))],
  ], p.versions);
  const s = p.shadow;
  at("shadow").hidden = at("shadow-lines").hidden = !s;
  if (!s) return;
  const c = s.comparison;
  at("shadow-state").textContent = "Shadow of " + s.candidate + ": " + s.phase + (s.reason ? " (" + s.reason + ")" : "") + ", " +
    [[c.compared, "compared"], [c.same, "same"], [c.different, "different"], [c.failed, "failed"], [c.skipped, "skipped"]].map(([n, what]) => count(n) + " " + what).join(", ");
  at("shadow-cancel").hidden = s.phase !== "running";
  at("shadow-lines").hidden = !c.differences.length;
  at("shadow-lines").textContent = c.differences.map((d) => d.hook + " of " + d.input + "\n" + d.diff).join("\n\n");
}

function rollback(name, version) {
  if (confirm("Let " + version + " serve for " + name + "?")) {
    act("POST", pluginPath(name) + "/rollback", version + " serves for " + name, { version });
  }
}

function topics(body) {
  at("topics-total").textContent = count(body.total) + " in all";
  table("topics", [
    ["topic", (t) => press(t.topic, () => history(t.topic))],
    ["last number", (t) => count(t.seq), "number"],
    ["epoch", (t) => t.epoch || "–"],
    ["kept", (t) => count(t.publications), "number"],
    ["snapshots", (t) => count(t.snapshots), "number"],
    ["bytes", (t) => bytes(t.bytes), "number"],
    ["subscribers", (t) => count(t.subscribers), "number"],
    ["idle", (t) => span(t.idle_ms), "number"],
  ], body.topics);
}

function connections(body) {
  at("connections-total").textContent = count(body.total) + " in all";
  table("connections", [
    ["id", (c) => c.id],
    ["user", (c) => c.user_id],
    ["from", (c) => c.remote_ip],
    ["protocol", (c) => c.dialect],
    ["state", (c) => c.state],
    ["topics", (c) => count(c.topics), "number"],
    ["sent", (c) => count(c.messages_sent), "number"],
    ["queued", (c) => bytes(c.queued_bytes), "number"],
    ["dropped", (c) => count(c.dropped), "number"],
    ["for", (c) => span(Date.now() - c.connected_ms), "number"],
    ["", (c) => press("disconnect", () => act("DELETE", "/api/v1/connections/" + encodeURIComponent(c.id), "disconnected " + c.id))],
  ], body.connections);
}

function letters(body) {
  at("letters-total").textContent = count(body.total) + " kept";
  table("letters", [
    ["when", (d) => span(Date.now() - Date.parse(d.time)) + " ago"],
    ["channel", (d) => d.channel],
    ["event", (d) => d.event],
    ["id", (d) => press(d.event_id || d.id, () => letter(d.id))],
    ["plugin", (d) => d.plugin && d.plugin + "@" + d.version],
    ["attempts", (d) => count(d.attempts), "number"],
    ["reason", (d) => d.reason.split("\n")[0], "wide"],
    ["", (d) => press("replay", () => replay({ ids: [d.id] }))],
    ["", (d) => press("drop", () => {
      if (confirm("Forget this event for good?")) act("DELETE", "/api/v1/dead-letters/" + encodeURIComponent(d.id), "dropped " + (d.event_id || d.id));
    })],
  ], body.dead_letters);
  at("replay-all").hidden = !body.total;
}

async function letter(id) {
  try {
    const d = await call("GET", "/api/v1/dead-letters/" + encodeURIComponent(id));
    at("letter-id").textContent = d.id;
    at("letter-lines").textContent = d.reason + "\n\n" + d.document;
    at("letter").hidden = false;
    at("letter").scrollIntoView({ block: "nearest" });
  } catch (error) {
    say(error.message, true);
  }
}

async function replay(which) {
  try {
    const r = await call("POST", "/api/v1/dead-letters/replay", which);
    const failed = r.letters.find((l) => l.error);
    say(r.replayed + " replayed, " + r.failed + " failed, " + r.left + " left" + (failed ? ": " + failed.error.message : ""), r.failed + r.left > 0);
  } catch (error) {
    say(error.message, true);
  }
  refresh();
}

async function history(topic) {
  try {
    const h = await call("GET", "/api/v1/history?limit=100&topic=" + encodeURIComponent(topic));
    at("history-topic").textContent = topic;
    at("history-lines").textContent = [...h.snapshots, ...h.publications].map((p) => JSON.stringify(p)).join("\n") || "nothing is kept";
    at("history").hidden = false;
    at("history").scrollIntoView({ block: "nearest" });
  } catch (error) {
    say(error.message, true);
  }
}

async function act(method, path, done, document) {
  try {
    await call(method, path, document);
    say(done, false);
  } catch (error) {
    say(error.message, true);
  }
  refresh();
}

async function refresh() {
  clearTimeout(timer);
  const mine = ++turn;
  try {
    const value = (id) => encodeURIComponent(at(id).value.trim());
    const [s, p, t, c, d, one] = await Promise.all([
      call("GET", "/api/v1/status"),
      call("GET", "/api/v1/plugins"),
      call("GET", "/api/v1/topics?limit=50&prefix=" + value("prefix")),
      call("GET", "/api/v1/connections?limit=50&user=" + value("user")),
      call("GET", "/api/v1/dead-letters?limit=20"),
      shown ? call("GET", pluginPath(shown)) : null,
    ]);
    if (mine !== turn) return;
    head(s);
    figures(s);
    plugins(p);
    plugin(one);
    topics(t);
    connections(c);
    letters(d);
    at("ask").hidden = true;
    at("main").hidden = false;
    at("forget").hidden = !token;
  } catch (error) {
    if (mine !== turn) return;
    if (error.status === 401) return ask();
    if (error.status === 404) shown = ""; // the plugin is not configured any more
    at("state").textContent = "no answer";
    at("state").className = "state bad";
    say(error.message, true);
  }
  timer = setTimeout(refresh, everyMS);
}

function ask() {
  if (token) say("The engine does not take this token.", true);
  token = "";
  sessionStorage.removeItem("wse-admin-token");
  at("main").hidden = true;
  at("forget").hidden = true;
  at("ask").hidden = false;
  at("state").textContent = "";
  at("token").focus();
}

at("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  token = at("token").value;
  at("token").value = "";
  sessionStorage.setItem("wse-admin-token", token);
  say("", false);
  refresh();
});
at("forget").addEventListener("click", () => { token = ""; ask(); });
at("reload").addEventListener("click", () => act("POST", "/api/v1/reload", "The configuration was read again."));
at("plugin-close").addEventListener("click", () => { shown = ""; plugin(null); });
at("shadow-cancel").addEventListener("click", () => act("DELETE", pluginPath(shown) + "/shadow", "The shadow is cancelled."));
at("replay-all").addEventListener("click", () => replay({ all: true }));
at("letter-close").addEventListener("click", () => { at("letter").hidden = true; });
at("history-close").addEventListener("click", () => { at("history").hidden = true; });
at("prefix").addEventListener("input", refresh);
at("user").addEventListener("input", refresh);
refresh();
