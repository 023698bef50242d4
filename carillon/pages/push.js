"use strict";
const PAGE = 200;
const POLL_MS = 1500;
const $ = (id) => document.getElementById(id);
let open = null;
let drawn = "";

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function row(message) {
  const button = element("button", "row");
  button.type = "button";
  button.setAttribute("aria-current", String(open === message.id));
  const top = element("div", "top");
  const time = element("time", "", new Date(message.received_at).toLocaleTimeString());
  time.dateTime = message.received_at;
  top.append(element("span", "who", message.token), time);
  button.append(top, element("div", "what", message.title || "(no title)"),
    element("div", "snippet", message.error ? `${message.http_status} ${message.error}` : message.body));
  button.addEventListener("click", () => show(message));
  const item = element("li");
  item.append(button);
  return item;
}

function show(message) {
  open = message.id;
  document.body.classList.add("reading");
  $("nothing").hidden = true;
  $("message").hidden = false;
  $("plain").hidden = false;
  $("title").textContent = message.title || "(no title)";
  const facts = [["Body", message.body], ["Device", message.token],
    ["Time", new Date(message.received_at).toLocaleString()],
    ["Answer", message.error ? `${message.http_status} ${message.error}` : "200, taken"]];
  $("facts").replaceChildren(...facts.flatMap(([name, value]) =>
    [element("dt", "", name), element("dd", "", value)]));
  $("plain").textContent = JSON.stringify(message.message, null, 2);
  refresh();
}

async function refresh() {
  try {
    const answer = await fetch(`/api/v1/messages?limit=${PAGE}`);
    if (!answer.ok) throw new Error(String(answer.status));
    const page = await answer.json();
    $("alarm").hidden = true;
    $("count").textContent = `${page.total} ${page.total === 1 ? "message" : "messages"}`;
    const word = $("search").value.trim().toLowerCase();
    const wanted = page.messages.filter((m) => !word || JSON.stringify(m).toLowerCase().includes(word));
    const state = JSON.stringify([wanted.map((m) => m.id), open]);
    if (state !== drawn) {
      drawn = state;
      $("messages").replaceChildren(...wanted.map(row));
      $("empty").hidden = wanted.length > 0;
    }
  } catch {
    $("alarm").hidden = false;
  }
}

$("search").addEventListener("input", refresh);
$("back").addEventListener("click", () => document.body.classList.remove("reading"));
$("clear").addEventListener("click", async () => {
  if (!window.confirm("Delete all messages here?")) return;
  await fetch("/api/v1/messages", { method: "DELETE" });
  window.location.reload();
});
refresh();
setInterval(() => { if (!document.hidden) refresh(); }, POLL_MS);
