// The page of a node: what the API says, as a person asks for it.

import { count, short, clock, plain, lasting, service, subject, ANSWERS, make, draw, fact, button } from "./words.js";

const $ = (id) => document.getElementById(id);
const WINDOWS = 600, SHOWN = 8, CHANGES = 40;

// ---- asking the node ------------------------------------------------------------------------------

let token = sessionStorage.getItem("weir");
let opening = null;

/** A link of `weir page` holds a key that is good for one token of this tab. */
async function useLink() {
  const key = new URLSearchParams(location.hash.slice(1)).get("key");
  if (!key) return;
  history.replaceState(null, "", location.pathname);
  const response = await fetch("session", { method: "POST", body: key });
  if (response.ok) keep(await response.text());
  else if (!token) toast((await problem(response)).message);
}

function keep(text) {
  token = text.trim();
  sessionStorage.setItem("weir", token);
}

async function problem(response) {
  const said = await response.json().catch(() => ({}));
  return new Error(said.detail ?? said.title ?? `the node answered ${response.status}`);
}

async function request(method, path, { query, body, signal } = {}) {
  const given = Object.entries(query ?? {}).filter(([, value]) => value != null);
  const search = given.length ? `?${new URLSearchParams(given)}` : "";
  const headers = {};
  if (token) headers.authorization = `Bearer ${token}`;
  if (body) headers["content-type"] = "application/json";
  const options = { method, headers, signal, body: body && JSON.stringify(body) };
  const response = await fetch(path.slice(1) + search, options);
  if (response.status === 401) {
    await logIn((await problem(response)).message);
    return request(method, path, { query, body, signal });
  }
  if (!response.ok) throw await problem(response);
  return response;
}

const get = async (path, query) => (await request("GET", path, { query })).json();

/** One dialog, however many requests wait for it. */
function logIn(why) {
  opening ??= new Promise((done) => {
    $("login-text").textContent = why;
    $("login-token").value = "";
    $("login").onclose = () => {
      opening = null;
      keep($("login-token").value);
      done();
    };
    $("login").showModal();
  });
  return opening;
}

/** Every item of a list that comes in parts, up to so many. */
async function list(path, query, most) {
  const items = [];
  let after;
  do {
    const page = await get(path, { ...query, after, limit: Math.min(most, 500) });
    items.push(...page.items);
    after = page.next;
  } while (after && items.length < most);
  return { items, whole: !after };
}

// ---- telling and asking a person --------------------------------------------------------------------

function toast(text, undo) {
  const line = make("p", {}, make("span", {}, text));
  if (undo) line.append(button("Undo", `Undo: ${text}`, () => { line.remove(); attempt(undo); }));
  $("toasts").append(line);
  setTimeout(() => line.remove(), undo ? 20_000 : 10_000);
}

async function attempt(act) {
  try {
    await act();
  } catch (error) {
    toast(error.message);
  }
  await Promise.all([refreshStatus(), refreshBlocks()]).catch(() => {});
}

/** What a person answers: a reason and a length, or nothing. */
function ask(title, text, yes, withLength = false) {
  $("ask-title").textContent = title;
  $("ask-text").textContent = text;
  $("ask-yes").textContent = yes;
  $("ask-for").hidden = !withLength;
  $("ask-reason").value = "";
  const dialog = $("ask");
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((done) => {
    dialog.onclose = () => done(dialog.returnValue !== "yes" ? null : {
      reason: $("ask-reason").value.trim() || null,
      seconds: withLength ? Number($("ask-seconds").value) : null,
    });
  });
}

// ---- is it watching? ------------------------------------------------------------------------------

let status = null;

async function refreshStatus() {
  status = await get("/v1/status");
  showStatus();
}

/** What is wrong, the worst first, each with what to do. */
function concerns() {
  const found = [];
  const add = (bad, text, act) => found.push({ bad, text, act });
  if (status.guard_passed_by) add(true, "Frames come in past the guard: its hook was taken. Start weir anew.");
  for (const [name, why] of Object.entries(status.not_watched ?? {})) add(true, `${name} is not watched: ${why.replaceAll("`", "")}.`);
  if (status.ledger.health === "failed") add(true, `The ledger failed: ${status.ledger.error}.`);
  if (status.ledger.health === "degraded") add(false, `The ledger lags: ${status.ledger.error ?? `${status.ledger.lost} records lost`}.`);
  if (status.breaker.open) {
    add(true, `The breaker is open, automatic blocks are suspended: ${status.breaker.reason}.`,
      button("Close it", "Close the breaker", () => attempt(() => request("POST", "/v1/rearm", { body: {} }))));
  }
  if (status.confirm) {
    add(false, `Enforcing falls back to ${status.confirm.falls_back_to} in ${lasting(status.confirm.left_s)}.`,
      button("Confirm", "Confirm enforcing", () => attempt(() => request("POST", "/v1/confirm", { body: {} }))));
  }
  if (status.drift.state === "drifting") {
    const moved = status.drift.moved.map((one) => one.feature).join(", ");
    add(false, `Traffic is not as in training (${moved || "many features a little"}); automatic blocks are suspended.`);
  }
  if (status.window?.lossy) add(true, "The last window lost flows or packets; only decisive evidence is acted on.");
  for (const one of status.interfaces ?? []) {
    if (one.unseen_packets) add(false, `${count(one.unseen_packets)} packets crossed ${one.name} unseen: ${(one.others ?? []).join("; ") || "another program ends their way"}.`);
  }
  if (status.claim && !status.claim.supported) add(false, status.claim.advice);
  if (!status.model) add(false, "No model: flows are counted, and nothing is scored.");
  for (const one of status.services ?? []) {
    add(one.condition !== "maintenance", `${one.service ? service(one.service) : one.host ?? "this host"}: ${plain(one.condition)} since ${clock(one.since)}${one.note ? `, ${one.note}` : ""}.`);
  }
  return found.sort((one, other) => other.bad - one.bad);
}

function showStatus() {
  const { window, interfaces } = status;
  const names = interfaces.map((one) => one.name).join(", ");
  $("node").textContent = `${status.version}, up ${lasting(status.uptime_s)}`;
  $("mode").textContent = `mode: ${status.mode}`;
  $("mode").className = `pill ${status.mode === "enforce" ? "good" : "warn"}`;
  const found = concerns();
  const verdict = $("verdict");
  const told = !window ? "No window was decided yet."
    : `Watching ${names || "no interface"}: ${count(window.packets_per_second)} packets/s of ${count(window.peers)} peers in ${count(window.flows)} flows${window.lossy ? "." : ", none lost."}`;
  if (verdict.textContent !== told) verdict.textContent = told;
  verdict.className = `lead ${!window || found.some((one) => one.bad) ? "" : "good"}`;
  $("concerns").replaceChildren(...found.map((one) =>
    make(one.bad ? "li.bad" : "li", {}, make("span", {}, one.text), one.act)));
  const lost = Object.entries(status.losses).map(([cause, packets]) => `${count(packets)} ${plain(cause)}`);
  $("facts").replaceChildren(...[
    window && fact("Decided after", `${window.decided_after_ms.toFixed(1)} ms, window ${count(window.number)}`),
    fact("Windows put off", count(status.late_windows)),
    fact("Packets in no flow", lost.join(", ") || "0"),
    fact("Events lost", count(status.lost_events ?? 0)),
    fact("Guard", interfaces.map((one) => `${one.name}: ${one.guard}`).join("; ") || "none"),
    fact("Drift", plain(status.drift.state)),
    status.model && fact("Model", `${status.model.hash.slice(0, 12)}, learning ${plain(status.model.learning ?? "off")}`),
    fact("Blocks", `${count(status.blocks.active)} of ${count(status.blocks.limit)}`),
  ].filter(Boolean));
  showShadow();
}

function showShadow() {
  const { mode, blocks, refusals } = status;
  const would = count(blocks.would_drop_packets);
  $("shadow").textContent = mode === "enforce"
    ? `It enforces: ${count(blocks.dropped_packets)} packets were dropped since the start; ${would} more would have been by entries that only shadow.`
    : `In the mode ${mode} nothing is dropped by itself. Enforcing would have dropped ${would} packets since the start.`;
  const rows = Object.entries(refusals).sort((one, other) => other[1] - one[1]);
  $("refusals").replaceChildren(...rows.map(([code, number]) => fact(`not acted on: ${plain(code)}`, count(number))));
}

// ---- charts ---------------------------------------------------------------------------------------

const windows = [], surprises = [];
const WIDTH = 1000, HEIGHT = 128, LEFT = 4, BASE = 108, TOP = 8;

/** A frame with an axis of time, in seconds before the newest, and one of values. */
function frame(svg, seconds, most, label) {
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-label", label);
  const x = (before) => WIDTH - (before / seconds) * (WIDTH - LEFT);
  const y = (value) => BASE - (value / most) * (BASE - TOP);
  const parts = [draw("line", { x1: LEFT, x2: WIDTH, y1: BASE, y2: BASE, class: "axis" })];
  svg.replaceChildren(...parts);
  return { x, y };
}

/** Words beside a chart, which its stretching does not touch. */
function scale(svg, texts) {
  let words = svg.nextElementSibling;
  if (!words) svg.after(words = make("figcaption"));
  words.textContent = texts;
}

function showTraffic() {
  if (windows.length < 2) {
    frame($("traffic"), 1, 1, "No windows yet");
    return;
  }
  const newest = windows.at(-1).end_ns;
  const seconds = Math.max(10, (newest - windows[0].end_ns) / 1e9);
  const rates = windows.map((one) => {
    const length = Math.max(1e-3, (one.end_ns - one.start_ns) / 1e9);
    return { before: (newest - one.end_ns) / 1e9, rate: one.packets.map((packets) => packets / length) };
  });
  const most = Math.max(1, ...rates.flatMap((one) => one.rate));
  const svg = $("traffic");
  const { x, y } = frame(svg, seconds, most, `Packets a second over ${lasting(seconds)}; at most ${count(most)}`);
  ["in", "out"].forEach((name, side) => {
    const points = rates.map((one) => `${x(one.before).toFixed(1)},${y(one.rate[side]).toFixed(1)}`);
    svg.append(draw("polyline", { points: points.join(" "), class: `line ${name}` }));
  });
  scale(svg, `the last ${lasting(seconds)}; at most ${short(most)}/s`);
}

function showSurprises() {
  const svg = $("surprises");
  const newest = windows.at(-1)?.end_ns ?? surprises.at(-1)?.at_ns;
  const recent = surprises.filter((one) => newest - one.at_ns < 6e11);
  if (!recent.length) {
    frame(svg, 1, 1, "Nothing stood out in the last ten minutes");
    scale(svg, "nothing in the last ten minutes");
    return;
  }
  const seconds = Math.max(60, (newest - Math.min(...recent.map((one) => one.at_ns))) / 1e9);
  const most = Math.max(6, ...recent.map((one) => one.surprise));
  const { x, y } = frame(svg, seconds, most, `${recent.length} anomalous windows in ${lasting(seconds)}; the highest surprise is ${short(most)}`);
  // The chart is stretched; its marks are not.
  const stretch = (svg.clientWidth || WIDTH) / WIDTH;
  for (const one of recent) {
    const [cx, cy, kind] = [x(Math.max(0, (newest - one.at_ns) / 1e9)), y(one.surprise), ANSWERS[one.outcome]?.[2] ?? "told"];
    const [w, h] = [4 / stretch, 4];
    const shape = { told: draw("ellipse", { cx, cy, rx: w * .8, ry: h * .8 }), limited: draw("rect", { x: cx - w, y: cy - h, width: 2 * w, height: 2 * h }), dropped: draw("polygon", { points: `${cx - 1.3 * w},${cy} ${cx},${cy - 1.3 * h} ${cx + 1.3 * w},${cy} ${cx},${cy + 1.3 * h}` }) }[kind];
    shape.setAttribute("class", kind);
    svg.append(shape);
  }
  scale(svg, `the last ${lasting(seconds)}; 3 is one in a thousand benign windows, the highest is ${short(most)}`);
}

// ---- is somebody attacking? -----------------------------------------------------------------------

const incidents = new Map();
let all = false;

/** Takes news, or a window, of an incident. */
function takeAlert(alert) {
  const id = alert.incident?.id ?? alert.id;
  const before = incidents.get(id);
  const next = {
    ...before, id, alert, last: alert.time,
    opened: alert.incident?.opened ?? before?.opened ?? alert.time,
    windows: alert.incident?.windows ?? (before?.windows ?? 0) + 1,
    closed: alert.incident?.change === "closed",
    answer: strongest(before?.answer, alert.outcome),
    reasons: alert.reasons?.length ? alert.reasons : before?.reasons ?? [],
  };
  incidents.set(id, next);
  while (incidents.size > 500) incidents.delete(incidents.keys().next().value);
}

const ORDER = ["refused", "failed", "would-block", "shadowed", "rate-limited", "blocked"];
const strongest = (one, other) => ORDER.indexOf(one) > ORDER.indexOf(other) ? one : other;

/** A value against the range of benign traffic, on one scale: logarithmic beyond 1. */
function picture(reason) {
  const at = (value) => Math.sign(value) * Math.log10(1 + Math.abs(value));
  const low = Math.min(0, at(reason.benign_low), at(reason.value));
  const high = Math.max(at(reason.benign_high), at(reason.value), low + 1e-9);
  const x = (value) => 3 + 194 * (at(value) - low) / (high - low);
  const svg = draw("svg", { viewBox: "0 0 200 16", preserveAspectRatio: "none", "aria-hidden": "true" });
  const [from, to] = [x(reason.benign_low), x(reason.benign_high)];
  svg.append(
    draw("rect", { x: 0, y: 7, width: 200, height: 2, class: "rail" }),
    draw("rect", { x: from - 2, y: 3, width: Math.max(4, to - from + 4), height: 10, rx: 2, class: "band" }),
    draw("rect", { x: x(reason.value) - 1.5, y: 0, width: 3, height: 16, class: "mark" }),
  );
  return svg;
}

function showReason(reason) {
  const unit = reason.unit && reason.unit !== "1" ? ` ${reason.unit}` : "";
  return make("li", {}, make("span", {}, make("code", {}, reason.feature),
    ` ${short(reason.value)}${unit}, benign ${short(reason.benign_low)} to ${short(reason.benign_high)}`), picture(reason));
}

function showIncident(one) {
  const { alert } = one;
  const [word, tone] = ANSWERS[one.answer] ?? [one.answer, ""];
  const who = subject(alert);
  const story = [`incident ${one.id}`, `${clock(one.opened)} to ${clock(one.last)}`, `${count(one.windows)} ${one.windows === 1 ? "window" : "windows"}`,
    alert.standing, service(alert.service) && `at ${service(alert.service)}`].filter(Boolean).join(", ");
  const refused = one.answer === "refused" && alert.refusal ? `: ${plain(alert.refusal)}` : "";
  const acts = alert.peer && !alert.event ? make("div", {},
    button("Block", `Block ${who}`, () => block(alert.peer)), " ",
    button("Allow", `Allow ${who}`, () => allow(alert.peer))) : null;
  return make("li", {},
    make("div", {}, make("h3", {}, who), make(`span.pill.${tone || "told"}`, {}, word + refused), make("p", {}, story)),
    make("ul.reasons", {}, ...one.reasons.slice(0, 3).map(showReason)), acts);
}

function showIncidents() {
  const rows = [...incidents.values()].sort((one, other) => ORDER.indexOf(other.answer) - ORDER.indexOf(one.answer) || (one.last < other.last ? 1 : -1));
  const now = Date.parse(status?.time ?? new Date());
  const open = rows.filter((one) => !one.closed && now - Date.parse(one.last) < 600_000);
  const acted = open.filter((one) => ORDER.indexOf(one.answer) > 1).length;
  const told = !open.length ? "Nothing stands out now."
    : `${open.length} ${open.length === 1 ? "incident" : "incidents"} in the last ten minutes, ${acted} acted on.`;
  if ($("attacks").textContent !== told) $("attacks").textContent = told;
  $("attacks").className = `lead ${acted ? "bad" : open.length ? "" : "good"}`;
  const shown = [...open, ...rows.filter((one) => !open.includes(one))].slice(0, all ? 500 : SHOWN);
  $("incidents").replaceChildren(...shown.map(showIncident));
  $("more").hidden = all || rows.length <= SHOWN;
  $("more").textContent = `Show all ${rows.length}`;
}

// ---- what is blocked ------------------------------------------------------------------------------

let blocks = [];

async function refreshBlocks() {
  const { items, whole } = await list("/v1/blocks", {}, 500);
  blocks = items;
  const held = status?.blocks.active ?? items.length;
  $("blocks-lead").textContent = items.length
    ? whole ? `${items.length} ${items.length === 1 ? "block stands" : "blocks stand"}; each ends by itself.` : `The first ${items.length} of ${count(held)}; each ends by itself.`
    : "Nothing is blocked.";
  const focused = document.activeElement?.getAttribute("aria-label");
  $("blocks").replaceChildren(...items.map(showBlock));
  if (focused) document.querySelector(`#blocks [aria-label="${CSS.escape(focused)}"]`)?.focus();
}

const DOES = { "drop": "dropped", "rate-limit": "limited", "shadow": "only counted" };

function showBlock(one) {
  const by = one.who ?? (one.origin === "model" ? `model${one.p_value != null ? `, p ${short(one.p_value)}` : ""}` : one.origin);
  const why = one.reason ? `${by}: ${one.reason}` : one.list ? `${by}, list ${one.list}` : by;
  const dropped = one.action === "shadow" ? `would be ${count(one.would_drop_packets)}` : count(one.dropped_packets);
  return make("tr", {},
    make("td", {}, make("code", {}, one.target)),
    make("td", {}, DOES[one.action] ?? one.action, one.pps ? ` to ${count(one.pps)}/s` : ""),
    make("td", { title: one.expires }, lasting(one.left_s)),
    make("td.why", {}, why),
    make("td.number", {}, dropped),
    make("td.change", {},
      button("Unblock", `Unblock ${one.target}`, () => unblock(one)), " ",
      button("Allow", `Allow ${one.target}`, () => allow(one.target)), " ",
      button("Prolong", `Prolong ${one.target}`, () => prolong(one))));
}

const again = (one, for_s, reason) => request("POST", "/v1/blocks",
  { body: { target: one.target, action: one.action, pps: one.pps, list: one.list, for_s: Math.max(1, for_s), reason } });

async function unblock(one) {
  const answer = await ask(`Unblock ${one.target}?`, "Its packets pass from now on. If it goes on, it is decided on anew.", "Unblock");
  if (!answer) return;
  await attempt(async () => {
    await request("DELETE", "/v1/blocks", { query: { target: one.target, reason: answer.reason } });
    toast(`${one.target} is unblocked.`, () => again(one, one.left_s, "unblocking was undone"));
  });
}

async function prolong(one) {
  const answer = await ask(`Prolong the block of ${one.target}?`, `It would end in ${lasting(one.left_s)}.`, "Prolong", true);
  if (!answer) return;
  await attempt(async () => {
    await again(one, answer.seconds, answer.reason);
    toast(`${one.target} is blocked for ${lasting(answer.seconds)}.`, () => again(one, one.left_s, "prolonging was undone"));
  });
}

async function block(target) {
  const answer = await ask(`Block ${target}?`, "All its packets are dropped.", "Block", true);
  if (!answer) return;
  await attempt(async () => {
    await request("POST", "/v1/blocks", { body: { target, for_s: answer.seconds, reason: answer.reason } });
    toast(`${target} is blocked.`, () => request("DELETE", "/v1/blocks", { query: { target, reason: "blocking was undone" } }));
  });
}

async function allow(target) {
  const stood = blocks.find((one) => one.target === target);
  const answer = await ask(`Allow ${target}?`, "It is not blocked, and a block of it ends.", "Allow", true);
  if (!answer) return;
  await attempt(async () => {
    await request("POST", "/v1/allow", { body: { prefix: target, for_s: answer.seconds, note: answer.reason } });
    toast(`${target} is allowed for ${lasting(answer.seconds)}.`, async () => {
      await request("DELETE", "/v1/allow", { query: { prefix: target } });
      if (stood) await again(stood, stood.left_s, "allowing was undone");
    });
  });
}

// ---- what changed ---------------------------------------------------------------------------------

const changes = [];

const TELL = {
  act: (event) => `${event.who}: ${event.what} ${Object.values(event.arguments ?? {}).filter((one) => one != null && typeof one !== "object").join(" ")}: ${event.outcome}`,
  drift: (event) => event.suspended ? `drift: automatic blocks are suspended (${event.features.map((one) => one.feature).join(", ") || "many features a little"})`
    : event.relearning ? "drift: a model is learnt anew" : "drift: traffic is as in training again",
  model: (event) => `model: ${plain(event.act)}, version ${event.version}${event.why ? `: ${event.why}` : ""}`,
  notice: (event) => plain(event.notice) + (event.trip ? `: ${plain(event.trip)}` : event.from ? ` from ${event.from}` : ""),
  difference: (event) => `at start${event.target ? `, ${event.target}` : ""}: ${event.detail}; ${event.done}`,
  failure: (event) => `${event.what} failed: ${event.error}`,
  expired: (event) => `${event.peer}: its block ran out; ${count(event.dropped_packets)} packets dropped`,
};

function showChanges() {
  $("changes-lead").textContent = changes.length ? "" : "Nothing since this page began to follow.";
  $("changes").replaceChildren(...changes.map((one) => make("li", {}, make("time", {}, one.time), make("span", {}, one.text))));
}

// ---- following ------------------------------------------------------------------------------------

let lastId = "start", dirty = false;

function take(event) {
  if (event.event === "window") {
    windows.push(event);
    if (windows.length > WINDOWS) windows.shift();
  } else if (["anomaly", "service", "outage", "site"].includes(event.event)) {
    const { event: kind, ...alert } = event;
    takeAlert(kind === "anomaly" ? alert : event);
    if (event.surprise) surprises.push({ at_ns: event.at_ns, surprise: event.surprise, outcome: event.outcome ?? "refused" });
    if (surprises.length > 2_000) surprises.shift();
  } else if (event.event === "closed") {
    const known = incidents.get(event.incident.id);
    if (known) known.closed = true;
  } else if (TELL[event.event]) {
    // Events of the past have the boot clock alone; the windows' ends say how long ago that was.
    const newest = windows.at(-1)?.end_ns;
    const ago = event.at_ns && newest && caughtUp === false ? Math.max(0, (newest - event.at_ns) / 1e9) : 0;
    changes.unshift({ time: clock(Date.now() - ago * 1000), text: TELL[event.event](event) });
    changes.length = Math.min(changes.length, CHANGES);
  }
  dirty = true;
}

let caughtUp = false;

async function followOnce() {
  const abort = new AbortController();
  // The node lets hear from it every ten seconds.
  let silence = setTimeout(() => abort.abort(), 30_000);
  const response = await request("GET", "/v1/events", { query: { after: lastId }, signal: abort.signal });
  $("stream").textContent = "live";
  $("stream").className = "pill good";
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "", name = "", data = "", id = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    clearTimeout(silence);
    silence = setTimeout(() => abort.abort(), 30_000);
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      const [, field, text] = /^([^:]*):? ?(.*)$/.exec(line);
      if (line === "") {
        if (data) {
          lastId = id || lastId;
          if (name === "") take(JSON.parse(data));
          if (name === "gap") toast("Some events are not kept any more.");
        }
        [name, data] = ["", ""];
      } else if (field === "id") id = text;
      else if (field === "event") name = text;
      else if (field === "data") data += text;
    }
  }
  clearTimeout(silence);
}

async function follow() {
  for (;;) {
    try {
      await followOnce();
    } catch (error) {
      $("stream").textContent = `not reached: ${error.message}`;
      $("stream").className = "pill bad";
    }
    await new Promise((done) => setTimeout(done, 1_000));
  }
}

function redraw() {
  if (!dirty || document.hidden) return;
  dirty = false;
  // Who is at a button keeps it.
  const focused = document.activeElement?.getAttribute("aria-label");
  showTraffic();
  showSurprises();
  showIncidents();
  showChanges();
  if (focused && document.activeElement === document.body) document.querySelector(`[aria-label="${CSS.escape(focused)}"]`)?.focus();
}

async function every(milliseconds, act) {
  for (;;) {
    await new Promise((done) => setTimeout(done, milliseconds));
    if (!document.hidden) await act().catch(() => {});
  }
}

async function start() {
  $("more").addEventListener("click", () => { all = true; showIncidents(); });
  $("login").addEventListener("cancel", (event) => event.preventDefault());
  await useLink();
  await refreshStatus();
  const known = await get("/v1/alerts", { limit: 200 });
  for (const alert of known.items.reverse()) takeAlert(alert);
  await refreshBlocks();
  dirty = true;
  redraw();
  follow();
  setTimeout(() => { caughtUp = true; }, 3_000);
  setInterval(redraw, 1_000);
  every(2_000, refreshStatus);
  every(3_000, refreshBlocks);
}

start().catch((error) => {
  $("verdict").textContent = error.message;
  $("verdict").className = "lead bad";
});
