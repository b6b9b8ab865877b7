/* Two people, one task: say that this page has it open, show who else does, and what a colleague did meanwhile.

   And news for the reader on every page: a decision that was not carried out, a task that goes back, a hand-over. */
(function () {
  "use strict";

  const BEAT = 15000;
  const NEWS = 30000;
  const source = document.currentScript ? new URL(document.currentScript.src) : null;

  function post(url, fields) {
    const body = new FormData();
    for (const [name, value] of Object.entries(fields)) {
      body.set(name, value);
    }
    return fetch(url, { method: "POST", body, headers: { "X-CSRFToken": window.consoleToken(), Accept: "application/json" } });
  }

  // -- who has this open ----------------------------------------------------------------------------------------------

  function shown() {
    return [...document.querySelectorAll("[data-presence]")].find((place) => !place.hidden && place.offsetParent !== null);
  }

  // Said while one writes, not only when it is sent.
  let wasOut = false;
  function tellSignedOut(isOut) {
    document.querySelectorAll("[data-signed-out-here]").forEach((line) => line.remove());
    const places = isOut ? document.querySelectorAll("dialog[open] .c-dialog-body, [data-panel]:not([hidden]), .c-page") : [];
    for (const place of places) {
      const line = document.createElement("p");
      line.className = "c-error";
      line.setAttribute("role", "alert");
      line.dataset.signedOutHere = "";
      const link = document.createElement("a");
      link.href = location.href;
      link.target = "_blank";
      link.textContent = window.consoleDrafts.signedOutText;
      line.append(link);
      place.prepend(line);
    }
  }

  async function beat() {
    const place = shown();
    if (!place || document.hidden) {
      return;
    }
    const version = place.dataset.version;
    let answer;
    try {
      answer = await post(place.dataset.presenceUrl, { version, tag: place.dataset.tag || "" });
    } catch {
      return; // the line is down: the next beat tries again
    }
    const isJson = (answer.headers.get("Content-Type") || "").includes("json");
    const isOut = answer.redirected || answer.status === 403;
    if (isOut !== wasOut && window.consoleDrafts) {
      wasOut = isOut;
      tellSignedOut(isOut);
    }
    if (answer.status === 204 || !isJson) {
      return;
    }
    const said = await answer.json();
    if (place.dataset.version !== version) {
      return; // the page moved on while the answer was under way
    }
    const others = place.querySelector("[data-others]");
    if (others) {
      others.textContent = said.others || "";
    }
    if (said.said && !place.dispatchEvent(new CustomEvent("presence:changed", { bubbles: true, cancelable: true }))) {
      return; // the page explains it itself
    }
    place.dataset.tag = said.tag || "";
    if (said.said) {
      tellChange(place, said);
    }
  }

  // On the page and in whatever dialog is open: what was typed stays, and what it meets is said.
  function tellChange(place, said) {
    const banner = place.querySelector("[data-said]");
    if (banner) {
      banner.hidden = false;
      banner.querySelector("[data-said-text]") ? (banner.querySelector("[data-said-text]").textContent = said.said) : (banner.textContent = said.said);
    }
    const standing = document.querySelector("[data-standing]");
    if (standing && said.standing) {
      standing.textContent = said.standing;
    }
    for (const dialog of document.querySelectorAll("dialog[open] .c-dialog-body, [data-panel]:not([hidden])")) {
      let line = dialog.querySelector("[data-said-here]");
      if (!line) {
        line = document.createElement("p");
        line.className = "c-error";
        line.setAttribute("role", "alert");
        line.dataset.saidHere = "";
        dialog.prepend(line);
      }
      line.textContent = said.said;
    }
  }

  window.addEventListener("pagehide", function () {
    const place = shown();
    if (place) {
      const body = new FormData();
      body.set("csrfmiddlewaretoken", window.consoleToken());
      navigator.sendBeacon(place.dataset.leftUrl, body);
    }
  });
  document.addEventListener("visibilitychange", beat);
  document.addEventListener("console:shown", () => setTimeout(beat, 1000));
  document.addEventListener("DOMContentLoaded", function () {
    if (shown()) {
      beat();
    }
    setInterval(beat, BEAT);
  });

  // -- news -----------------------------------------------------------------------------------------------------------

  const KEPT = "console-news";

  function known() {
    try {
      return JSON.parse(localStorage.getItem(KEPT)) || [];
    } catch {
      return [];
    }
  }

  function tell(item) {
    let list = document.querySelector(".c-news");
    if (!list) {
      list = document.createElement("div");
      list.className = "c-news";
      document.body.append(list);
    }
    const line = document.createElement("p");
    line.setAttribute("role", "alert");
    const text = document.createElement("span");
    text.textContent = `${item.text} `;
    const link = document.createElement("a");
    link.href = item.url;
    link.textContent = item.name;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "c-close";
    button.textContent = "×";
    button.setAttribute("aria-label", "OK");
    button.addEventListener("click", () => line.remove());
    text.append(link);
    line.append(text, button);
    list.append(line);
  }

  async function hear() {
    if (document.hidden || document.querySelector("input[name=password]")) {
      return;
    }
    let answer;
    try {
      answer = await fetch(source.searchParams.get("news"), { headers: { Accept: "application/json" } });
    } catch {
      return;
    }
    if (!answer.ok || !(answer.headers.get("Content-Type") || "").includes("json")) {
      return;
    }
    const seen = known();
    // The deck tells of its own decisions at their line.
    const told = (await answer.json()).news.filter((item) => !seen.includes(item.key));
    told.forEach(tell);
    localStorage.setItem(KEPT, JSON.stringify([...seen, ...told.map((item) => item.key)].slice(-100)));
    const staged = told.filter((item) => item.staged).map((item) => item.staged);
    if (staged.length) {
      post(source.searchParams.get("told"), { ids: staged.join(",") }).catch(() => undefined);
    }
  }

  if (source && source.searchParams.get("news")) {
    document.addEventListener("DOMContentLoaded", function () {
      setTimeout(hear, 2000);
      setInterval(hear, NEWS);
    });
  }
})();
