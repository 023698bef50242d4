"use strict";
const PAGE = 100;
const POLL_MS = 1500;
const $ = (id) => document.getElementById(id);
let open = null;      // the mail that is shown, as JSON
let tab = "html";
let drawn = "";       // what the list was drawn from, to leave it alone while nothing changes

const person = (p) => (p ? (p.Name ? `${p.Name} <${p.Address}>` : p.Address) : "—");
const people = (list) => list.map(person).join(", ");

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

async function get(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer;
}

function row(mail) {
  const button = element("button", mail.Read ? "row" : "row unread");
  button.type = "button";
  button.setAttribute("aria-current", String(open !== null && open.ID === mail.ID));
  const top = element("div", "top");
  const time = element("time", "", new Date(mail.Created).toLocaleTimeString());
  time.dateTime = mail.Created;
  time.title = new Date(mail.Created).toLocaleString();
  top.append(element("span", "who", people([...mail.To, ...mail.Cc, ...mail.Bcc]) || "—"), time);
  button.append(top, element("div", "what", mail.Subject || "(no subject)"), element("div", "snippet", mail.Snippet));
  button.addEventListener("click", () => show(mail.ID));
  const item = element("li");
  item.append(button);
  return item;
}

async function refresh() {
  const query = $("search").value.trim();
  const path = query
    ? `/api/v1/search?limit=${PAGE}&query=${encodeURIComponent(query)}`
    : `/api/v1/messages?limit=${PAGE}`;
  try {
    const page = await (await get(path)).json();
    $("alarm").hidden = true;
    const shown = page.messages.length < page.messages_count ? `${page.messages.length} of ` : "";
    const mails = page.messages_count === 1 ? "mail" : "mails";
    $("count").textContent = `${shown}${page.messages_count} ${mails}, ${page.unread} unread`;
    document.title = `${page.unread ? `(${page.unread}) ` : ""}Mailbox · Carillon`;
    const state = JSON.stringify([page.messages.map((m) => [m.ID, m.Read]), open && open.ID]);
    if (state !== drawn) {
      drawn = state;
      $("mails").replaceChildren(...page.messages.map(row));
      $("empty").hidden = page.messages.length > 0;
    }
  } catch {
    $("alarm").hidden = false;
  }
}

async function show(id) {
  open = await (await get(`/api/v1/message/${id}`)).json();
  window.history.replaceState(null, "", `#${id}`);
  document.body.classList.add("reading");
  $("nothing").hidden = true;
  $("mail").hidden = false;
  $("subject").textContent = open.Subject || "(no subject)";
  const facts = [["From", person(open.From)], ["To", people(open.To)], ["Cc", people(open.Cc)],
    ["Bcc", people(open.Bcc)], ["Reply to", people(open.ReplyTo)], ["Date", new Date(open.Date).toLocaleString()]];
  $("facts").replaceChildren(...facts.filter(([, value]) => value).flatMap(([name, value]) =>
    [element("dt", "", name), element("dd", "", value)]));
  if (tab === "html" && !open.HTML) tab = "text";
  await draw();
  await refresh();
}

async function draw() {
  for (const button of document.querySelectorAll("[data-tab]")) {
    button.setAttribute("aria-selected", String(button.dataset.tab === tab));
    button.disabled = button.dataset.tab === "html" && !open.HTML;
  }
  $("frame").hidden = tab !== "html";
  $("plain").hidden = tab === "html";
  if (tab === "html") {
    $("frame").src = `/view/${open.ID}.html`;
  } else if (tab === "text") {
    $("plain").textContent = open.Text || "(no text part)";
  } else if (tab === "headers") {
    const headers = await (await get(`/api/v1/message/${open.ID}/headers`)).json();
    $("plain").textContent = Object.entries(headers)
      .flatMap(([name, values]) => values.map((value) => `${name}: ${value}`)).join("\n");
  } else {
    $("plain").textContent = await (await get(`/api/v1/message/${open.ID}/raw`)).text();
  }
}

for (const button of document.querySelectorAll("[data-tab]")) {
  button.addEventListener("click", () => { tab = button.dataset.tab; draw(); });
}
$("search").addEventListener("input", refresh);
$("back").addEventListener("click", () => document.body.classList.remove("reading"));
$("clear").addEventListener("click", async () => {
  if (!window.confirm("Delete all mails in this mailbox?")) return;
  await fetch("/api/v1/messages", { method: "DELETE" });
  window.location.reload();
});
if (window.location.hash) show(window.location.hash.slice(1)).catch(refresh);
else refresh();
setInterval(() => { if (!document.hidden) refresh(); }, POLL_MS);
