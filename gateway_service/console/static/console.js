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

  /** Follow the stream of this page, and say whether it is there. */
  function watch(place) {
    const badge = document.getElementById("liveness-badge");
    const word = document.getElementById("liveness-word");
    const reload = document.getElementById("reload");
    let source = null;

    function tell(isLive, text) {
      badge.className = `badge ${isLive ? "good" : "idle"}`;
      badge.firstElementChild.textContent = isLive ? "●" : "○";
      if (word.textContent !== text) word.textContent = text;
      reload.hidden = isLive;
    }

    function begin() {
      source = new EventSource(place.dataset.stream);
      source.addEventListener("state", (event) => {
        show(event.data);
        if (document.getElementById("job-state")?.dataset.over === "yes") {
          source.close();
          tell(false, "Over: nothing changes any more");
        } else {
          tell(true, "Live");
        }
      });
      source.addEventListener("error", () => {
        tell(false, "Not live");
        // Refused for good, as the browser sees it: full, or nobody is logged in any more.
        if (source.readyState === EventSource.CLOSED) setTimeout(() => document.hidden || begin(), COME_AGAIN_MS);
      });
    }

    if (document.getElementById("job-state")?.dataset.over === "yes") {
      tell(false, "Over: nothing changes any more");
      return;
    }
    begin();
    addEventListener("pagehide", () => source.close());
    addEventListener("pageshow", (event) => event.persisted && location.reload());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && source.readyState === EventSource.CLOSED) begin();
    });
  }

  document.addEventListener("htmx:config:request", (event) => {
    // What is blank was not asked for, and need not stand in the address.
    const asked = event.detail.ctx.request;
    if (asked.method === "GET") {
      for (const [name, value] of [...asked.body]) if (value === "") asked.body.delete(name);
    }
  });

  document.addEventListener("htmx:after:swap", () => {
    const main = document.getElementById("main");
    focusOnAnswer(main);
    speak(main.querySelector("[data-spoken]")?.dataset.spoken, true);
  });

  document.addEventListener("htmx:error", () => speak("No answer came. Try again.", true));

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
