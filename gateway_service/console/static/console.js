/* What is live, what is spoken, and where the focus goes. Without this file every page works all the same. */
(() => {
  "use strict";

  const spoken = document.getElementById("spoken");
  const SPEAK_AT_MOST_EVERY_MS = 10000;
  const COME_AGAIN_MS = 15000;
  let spokenAt = 0;

  /** Say it to screen readers, unless it was said last. */
  function speak(text, always) {
    const now = Date.now();
    if (!text || text === spoken.textContent || (!always && now - spokenAt < SPEAK_AT_MOST_EVERY_MS)) return;
    spoken.textContent = text;
    spokenAt = now;
  }

  /** The focus goes to what answers the last act: a result, a fault, a refusal. */
  function focusOnAnswer(within) {
    const answer = within.querySelector("[data-focus]");
    if (answer) answer.focus();
  }

  /** Put a new state in place part by part: what has not changed stays, and so does the focus. */
  function show(html) {
    const fresh = document.createElement("template");
    fresh.innerHTML = html;
    for (const part of [...fresh.content.children]) {
      const old = part.id && document.getElementById(part.id);
      if (!old || old.outerHTML === part.outerHTML) continue;
      const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
      old.replaceWith(part);
      if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
      speak(part.dataset.spoken, false);
      if (part.dataset.status) fitActs(part.dataset.status);
    }
  }

  /** Only acts that fit the status of a job are there. */
  function fitActs(status) {
    for (const form of document.querySelectorAll("[data-fitting]")) {
      const fits = form.dataset.fitting.split(" ").includes(status);
      if (!fits && form.contains(document.activeElement)) document.getElementById("job-heading").focus();
      form.hidden = !fits;
    }
  }

  /** Follow the stream of this page, and say whether it is there. A page that nobody sees lets go of it: a
      browser has six connections to a host for all its pages. */
  function watch(place) {
    const badge = document.getElementById("liveness-badge");
    const word = document.getElementById("liveness-word");
    const reload = document.getElementById("reload");
    let source = null;
    let timer = null;
    let ended = false;

    function tell(isLive, text) {
      badge.className = `badge ${isLive ? "good" : "idle"}`;
      badge.firstElementChild.textContent = isLive ? "●" : "○";
      if (word.textContent !== text) word.textContent = text;
      reload.hidden = isLive;
    }

    function leave() {
      clearTimeout(timer);
      timer = null;
      source?.close();
      source = null;
    }

    function end(text) {
      ended = true;
      leave();
      tell(false, text);
    }

    function isOver() {
      return document.getElementById("job-state")?.dataset.over === "yes";
    }

    /** Refused, as the browser sees it, which does not tell why: full for now, or nobody is logged in. */
    async function comeAgain() {
      leave();
      let status = 0;
      try {
        status = (await fetch(place.dataset.stream, { method: "HEAD" })).status;
      } catch {
        // The connection is lost; it may come back.
      }
      if (status === 401) {
        end("You are logged out.");
        reload.textContent = "Log in again.";
      } else if (!source && !timer && !document.hidden) {
        timer = setTimeout(begin, COME_AGAIN_MS);
      }
    }

    function begin() {
      timer = null;
      if (source || ended || document.hidden) return;
      source = new EventSource(place.dataset.stream);
      source.addEventListener("state", (event) => {
        show(event.data);
        if (isOver()) end("Over: nothing changes any more");
        else tell(true, "Live");
      });
      source.addEventListener("error", (event) => {
        if (event.target !== source) return;
        tell(false, "Not live");
        if (source.readyState === EventSource.CLOSED) comeAgain();
      });
    }

    if (isOver()) {
      end("Over: nothing changes any more");
      return;
    }
    begin();
    addEventListener("pagehide", leave);
    addEventListener("pageshow", (event) => event.persisted && location.reload());
    document.addEventListener("visibilitychange", () => {
      if (ended) return;
      if (document.hidden) {
        leave();
        tell(false, "Not live");
      } else if (!timer) {
        begin();
      }
    });
  }

  const trouble = document.getElementById("trouble");

  /** What was asked for may have been done or not; the page stays as it is. */
  function tellTrouble(request) {
    const text = document.createElement("p");
    text.textContent = "✗ No usable answer came. ";
    if (request?.method === "GET") {
      text.append("Try again.");
    } else {
      const jobs = document.createElement("a");
      jobs.href = "/console/jobs";
      jobs.textContent = "Jobs";
      text.append("Look under ", jobs, " before you send it again.");
    }
    trouble.replaceChildren(text);
  }

  document.addEventListener("htmx:config:request", (event) => {
    // What is blank was not asked for, and need not stand in the address.
    const asked = event.detail.ctx.request;
    if (asked.method === "GET") {
      for (const [name, value] of [...asked.body]) if (value === "") asked.body.delete(name);
    }
  });

  document.addEventListener("htmx:before:request", () => trouble.replaceChildren());

  document.addEventListener("htmx:before:response", (event) => {
    const { request, response } = event.detail.ctx;
    if (response.headers.get("Carillon-Console") === "page") return;
    // A proxy's words, or a refusal at the door.
    event.preventDefault();
    response.raw.body?.cancel();
    tellTrouble(request);
  });

  document.addEventListener("htmx:error", (event) => tellTrouble(event.detail.ctx?.request));

  document.addEventListener("htmx:after:swap", () => {
    const main = document.getElementById("main");
    if (!main) return;
    focusOnAnswer(main);
    speak(main.querySelector("[data-spoken]")?.dataset.spoken, true);
  });

  // A form is sent once, however often its button is pressed.
  document.addEventListener("submit", (event) => {
    if (event.target.method !== "post" || event.target.hasAttribute("hx-post")) return;
    if (event.target.dataset.sent) event.preventDefault();
    event.target.dataset.sent = "yes";
    setTimeout(() => delete event.target.dataset.sent, 5000);
  });

  focusOnAnswer(document);
  const place = document.getElementById("liveness");
  if (place) watch(place);
})();
