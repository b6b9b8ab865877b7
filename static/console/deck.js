/* The deck: task after task from the keyboard.

   The next card waits in the page, unclaimed, so that it is there with the key; it is claimed when it is shown. What is
   sent goes one after the other, in the order of the keys. A decision waits on the server for some seconds: `u`. */
(function () {
  "use strict";

  const deck = document.querySelector("[data-deck]");
  if (!deck) {
    return;
  }
  const stage = deck.querySelector("[data-stage]");
  const say = deck.querySelector("[data-say]");
  const undos = deck.querySelector("[data-undos]");
  const help = deck.querySelector("[data-help]");
  const words = {};
  for (const word of deck.querySelectorAll("[data-word]")) {
    words[word.dataset.word] = word.textContent;
  }

  const AHEAD = 10; // cards that wait in the page: as many quick keys meet no gap
  const LOW = 6; // with so many left, the rest is asked for in one go
  const acted = new Set(); // tasks of which a key is on its way or done: a card asked for meanwhile must not bring them back
  let current = null; // the card on screen: {task, version, name, el, claimed}
  const ahead = []; // cards in the page that are not shown yet, the next one first
  const passed = []; // cards that were left with j, the latest last
  const lines = []; // decisions that can be taken back: {task, name, card, verb, id, until, el, state}
  let decided = 0;
  let asking = null; // the answer that is awaited for the next card
  let unsent = 0;
  let chain = Promise.resolve();

  // -- the server -----------------------------------------------------------------------------------------------------

  class Refused extends Error {
    constructor(status, answer) {
      super(answer.said || words.offline);
      this.status = status;
      this.answer = answer;
    }
  }

  async function ask(url, options) {
    let answer;
    try {
      answer = await fetch(url, { headers: { Accept: "application/json" }, ...options });
    } catch {
      throw new Refused(0, { said: words.offline });
    }
    if (!(answer.headers.get("Content-Type") || "").includes("json")) {
      throw new Refused(answer.status, { said: answer.redirected || answer.status === 403 ? words.signed_out : words.offline });
    }
    const said = await answer.json();
    if (!answer.ok) {
      throw new Refused(answer.status, said);
    }
    return said;
  }

  function send(url, fields) {
    const body = fields instanceof FormData ? fields : new FormData();
    if (body !== fields) {
      for (const [name, value] of Object.entries(fields)) {
        body.set(name, value);
      }
    }
    return ask(url, { method: "POST", body, keepalive: true, headers: { Accept: "application/json", "X-CSRFToken": window.consoleToken() } });
  }

  // One after the other: an answer says at which version the next request finds its task.
  function inTurn(work) {
    unsent += 1;
    const done = chain.then(work).finally(() => {
      unsent -= 1;
    });
    chain = done.catch(() => undefined);
    return done;
  }

  const actUrl = (verb) => deck.dataset.actUrl.replace("/approve/", `/${verb}/`);

  // -- cards ----------------------------------------------------------------------------------------------------------

  function cardFrom(html) {
    const holder = document.createElement("div");
    holder.innerHTML = html;
    const el = holder.firstElementChild;
    return { el, task: el.dataset.task, version: Number(el.dataset.version), name: el.dataset.name, claimed: false };
  }

  // Behind what the page has that comes before it in the queue: a task that came meanwhile may matter more.
  function queueUp(card, rank) {
    card.rank = rank;
    let place = ahead.length;
    while (place > 0 && isLater(ahead[place - 1].rank, rank)) {
      place -= 1;
    }
    ahead.splice(place, 0, card);
  }

  function isLater(one, other) {
    const at = one ? one.findIndex((value, n) => value !== other[n]) : -1;
    return at >= 0 && one[at] > other[at];
  }

  function keepVersion(card, version) {
    card.version = version;
    card.el.dataset.version = String(version);
    for (const field of card.el.querySelectorAll("input[name=version]")) {
      field.value = String(version);
    }
  }

  // What was typed into a card, for the card that takes its place.
  function renew(card, html) {
    const fresh = cardFrom(html);
    const isOpen = openPanel(card);
    for (const panel of card.el.querySelectorAll("[data-panel]")) {
      const twin = fresh.el.querySelector(`[data-panel="${panel.dataset.panel}"]`);
      for (const field of twin ? panel.querySelectorAll("textarea, select, input:not([type=hidden])") : []) {
        const other = twin.elements.namedItem(field.name);
        if (other) {
          other.value = field.value;
        }
      }
    }
    fresh.el.hidden = card.el.hidden;
    card.el.replaceWith(fresh.el);
    card.el = fresh.el;
    keepVersion(card, fresh.version);
    fit(card);
    if (isOpen && !card.el.hidden) {
      open(card, isOpen.dataset.panel);
    }
  }

  function fit(card) {
    card.el.dispatchEvent(new CustomEvent("console:shown", { bubbles: true }));
    window.dispatchEvent(new Event("resize")); // frames of creatives take their size from what is shown
  }

  function appear(card) {
    current = card;
    say.hidden = true;
    deck.querySelector("[data-none]").hidden = true;
    deck.querySelector("[data-wait]").hidden = true;
    card.el.hidden = false;
    fit(card);
    window.scrollTo(0, 0);
    card.el.querySelector("[data-title]").focus({ preventScroll: true });
    resumeDrafts(card);
    inTurn(() => claim(card)).catch(() => undefined);
    preload();
  }

  // What was written here before the session ended; the panel in which somebody was interrupted is open again.
  function resumeDrafts(card) {
    for (const panel of card.el.querySelectorAll("[data-panel]")) {
      if (window.consoleDrafts.resume(panel)) {
        open(card, panel.dataset.panel);
      }
    }
  }

  async function claim(card) {
    if (current !== card || card.claimed) {
      return;
    }
    try {
      const answer = await send(deck.dataset.showUrl, { task: card.task, version: card.version });
      card.claimed = answer.claimed;
      if (answer.card && current !== card) {
        return; // decided on what it said before: the server will refuse that version, and the card comes back
      }
      if (answer.card) {
        renew(card, answer.card.html);
        tell(answer.said);
      }
      keepVersion(card, answer.version);
    } catch (error) {
      // Taken meanwhile: say so and move on. A fault of the line leaves the card where it is.
      if (error.status >= 400 && error.status < 500 && current === card) {
        drop(card);
        forward(`${card.name}: ${error.message}`);
      } else {
        tell(error.message);
      }
    }
  }

  function drop(card) {
    card.el.remove();
    if (current === card) {
      current = null;
    }
  }

  function inHand() {
    const cards = [...(current ? [current] : []), ...ahead, ...passed, ...lines.filter((line) => line.card).map((line) => line.card)];
    return [...new Set([...cards.map((card) => card.task), ...[...acted].reverse()])];
  }

  // Fetch the cards after this one, so that a quick key or a slow line meets no gap; nothing is claimed.
  function preload() {
    if (ahead.length > LOW || asking) {
      return asking || Promise.resolve();
    }
    let hasMore = false;
    const query = new URLSearchParams(deck.dataset.query);
    query.set("not", inHand().slice(0, 100).join(","));
    query.set("count", String(ahead.length ? AHEAD - ahead.length : 1)); // none left: the next one at once
    asking = ask(`${deck.dataset.cardUrl}?${query}`)
      .then((answer) => {
        deck.querySelector("[data-left]").textContent = answer.left;
        for (const fresh of answer.cards.filter((one) => !inHand().includes(one.task))) {
          const card = cardFrom(fresh.html);
          card.el.hidden = true;
          stage.append(card.el);
          queueUp(card, fresh.rank);
          hasMore = true;
        }
      })
      .catch((error) => tell(error.message))
      .finally(() => {
        asking = null;
        if (hasMore) {
          preload();
        }
      });
    return asking;
  }

  function forward(said) {
    const next = ahead.shift();
    if (next) {
      appear(next);
      tell(said);
      return;
    }
    current = null;
    deck.querySelector("[data-wait]").hidden = false;
    // What is on its way may hold it; else it is asked for at once, and once more when all keys have been answered.
    const more = () => (ahead.length || current ? undefined : preload());
    Promise.resolve(asking)
      .then(more)
      .then(() => (ahead.length || current ? undefined : inTurn(more)))
      .then(() => {
        if (current) {
          return;
        }
        if (ahead.length) {
          forward(said);
          return;
        }
        deck.querySelector("[data-wait]").hidden = true;
        deck.querySelector("[data-none]").hidden = false;
        if (passed.length) {
          deck.querySelector("[data-none-text]").textContent = words.passed;
        }
        tell(said);
      });
  }

  // Give back what was claimed by being shown.
  function giveBack(card) {
    return inTurn(async () => {
      if (card.claimed && current !== card) {
        const answer = await send(deck.dataset.leaveUrl, { task: card.task, version: card.version });
        card.claimed = false;
        if (answer.left) {
          keepVersion(card, answer.version);
        }
      }
    }).catch(() => undefined);
  }

  function aside(card) {
    close(card);
    card.el.hidden = true;
    current = null;
    giveBack(card);
  }

  function tell(text) {
    if (text) {
      say.textContent = text;
      say.hidden = false;
    }
  }

  // -- panels: a verb that needs words --------------------------------------------------------------------------------

  function openPanel(card) {
    return card.el.querySelector("[data-panel]:not([hidden])");
  }

  function open(card, name) {
    close(card);
    const panel = card.el.querySelector(`[data-panel="${name}"]`);
    panel.hidden = false;
    card.el.querySelector("[data-buttons]").hidden = true;
    card.el.classList.add("d-writing");
    const field = panel.querySelector("select, textarea, input:not([type=hidden])");
    (field || panel.querySelector("[data-main]")).focus();
  }

  function close(card) {
    for (const panel of card.el.querySelectorAll("[data-panel]")) {
      panel.hidden = true;
    }
    card.el.querySelector("[data-buttons]").hidden = false;
    card.el.classList.remove("d-writing");
  }

  function showErrors(card, verb, answer) {
    const panel = card.el.querySelector(`[data-panel="${verb}"]`);
    if (!panel) {
      return;
    }
    open(card, verb);
    for (const place of panel.querySelectorAll("[data-error], [data-error-form]")) {
      place.hidden = true;
    }
    let isSaid = false;
    for (const [name, texts] of Object.entries(answer.errors || {})) {
      const field = panel.querySelector(`[data-field="${name}"]`);
      const place = field ? field.querySelector("[data-error]") : null;
      if (place) {
        place.textContent = texts.join(" ");
        place.hidden = false;
        isSaid = true;
        const more = place.closest("details");
        if (more) {
          more.open = true;
        }
      }
    }
    const rest = panel.querySelector("[data-error-form]");
    if (!isSaid && rest) {
      rest.textContent = answer.said;
      rest.hidden = false;
    }
  }

  // -- deciding -------------------------------------------------------------------------------------------------------

  function run(card, verb) {
    acted.add(card.task);
    const panel = card.el.querySelector(`[data-panel="${verb}"]`);
    const line = panel.hasAttribute("data-decides") ? addLine({ task: card.task, name: card.name, card, verb, label: panel.dataset.label }) : null;
    close(card);
    card.el.hidden = true;
    current = null;
    inTurn(() => act(card, verb, panel, line)).catch(() => undefined);
    forward();
  }

  async function act(card, verb, panel, line) {
    // Where the key was faster than the claim, the act claims the task itself, at the version that was seen.
    const fields = new FormData(card.el.querySelector(`[data-panel="${verb}"]`));
    fields.set("task", card.task);
    if (card.claimed) {
      fields.set("claimed", "1");
    }
    const url = verb === "skip" ? deck.dataset.skipUrl : actUrl(verb);
    try {
      const answer = await send(url, fields);
      if (answer.staged) {
        Object.assign(line, { id: answer.staged.id, until: performance.now() + answer.staged.seconds * 1000, state: "waits" });
      } else if (line) {
        Object.assign(line, { state: "done" });
      } else {
        tell(`${answer.done} ${answer.name}`);
      }
      window.consoleDrafts.done(`${card.task}:${verb}`);
      decided += verb === "skip" ? 0 : 1;
      score();
      if (!line || line.state === "done") {
        card.el.remove();
      }
      tick();
    } catch (error) {
      dropLine(line);
      refused(card, verb, error);
    }
  }

  // It was not decided: the card comes back as it was, with what was typed and the reason.
  function refused(card, verb, error) {
    const isLost = error.answer.gone || (error.status === 409 && !error.answer.card) || (error.status === 412 && !error.answer.card);
    if (isLost && !hasWords(card, verb)) {
      card.el.remove();
      tell(`${card.name}: ${error.message}`);
      return;
    }
    bringBack(card);
    if (error.answer.card) {
      renew(card, error.answer.card.html);
    } else if (error.answer.version) {
      keepVersion(card, error.answer.version);
    }
    showErrors(card, verb, error.answer.said ? error.answer : { said: error.message });
    tell(`${card.name}: ${error.message}`);
  }

  function hasWords(card, verb) {
    const panel = card.el.querySelector(`[data-panel="${verb}"]`);
    return [...panel.querySelectorAll("textarea, input[type=text]")].some((field) => field.value.trim());
  }

  // The card on screen makes room and is the next one then.
  function bringBack(card) {
    acted.delete(card.task);
    if (current && current !== card) {
      const other = current;
      aside(other);
      ahead.unshift(other);
    }
    if (!card.el.isConnected) {
      stage.prepend(card.el);
    }
    current = card;
    card.el.hidden = false;
    for (const name of ["none", "wait"]) {
      deck.querySelector(`[data-${name}]`).hidden = true;
    }
    fit(card);
    window.scrollTo(0, 0);
  }

  function score() {
    const place = deck.querySelector("[data-score]");
    place.textContent = `· ${decided} ${words.decided}`;
    place.hidden = decided === 0;
  }

  // -- taking back ----------------------------------------------------------------------------------------------------

  function addLine(line) {
    line.el = deck.querySelector("[data-undo-line]").content.firstElementChild.cloneNode(true);
    line.el.querySelector("[data-label]").textContent = line.label;
    line.el.querySelector("[data-name]").textContent = line.name;
    line.state = line.state || "sent";
    line.el.querySelector("[data-take-back]").addEventListener("click", () => takeBack(line));
    line.el.querySelector("[data-drop]").addEventListener("click", () => dropLine(line));
    undos.append(line.el);
    lines.push(line);
    tick();
    return line;
  }

  function dropLine(line) {
    const place = lines.indexOf(line);
    if (place >= 0) {
      lines.splice(place, 1);
      line.el.remove();
      tick();
    }
  }

  function latest() {
    return [...lines].reverse().find((line) => line.state === "sent" || line.state === "waits");
  }

  function takeBack(line) {
    if (!line || line.state === "back") {
      tell(words.nothing_back);
      return;
    }
    line.state = "back";
    inTurn(async () => {
      if (!lines.includes(line)) {
        return; // it was refused, and its card is back already
      }
      try {
        const answer = await send(deck.dataset.undoUrl, { task: line.task });
        const card = line.card || cardFrom(answer.card.html);
        dropLine(line);
        decided = Math.max(0, decided - 1);
        score();
        bringBack(card);
        keepVersion(card, answer.card.version);
        card.claimed = false; // it is begun now: leaving it does not give it back
        refill(card, answer.typed, Boolean(line.card));
        tell(words.taken_back);
      } catch (error) {
        dropLine(line);
        tell(`${line.name}: ${error.message}`);
      }
    }).catch(() => undefined);
  }

  // What was typed is in the card still; after a reload it is what the server kept, masked.
  function refill(card, typed, isKept) {
    const panel = card.el.querySelector(`[data-panel="${typed.verb}"]`);
    if (!panel) {
      return;
    }
    if (!isKept) {
      const text = panel.elements.namedItem("text");
      const modifications = panel.elements.namedItem("modifications");
      if (text) {
        text.value = typed.text;
      }
      if (modifications && Object.keys(typed.modifications).length) {
        modifications.value = JSON.stringify(typed.modifications, null, 2);
      }
      for (const [name, value] of Object.entries(typed.modifications)) {
        const field = panel.elements.namedItem(`m_${name}`);
        if (field) {
          field.value = Array.isArray(value) ? value.join("\n") : String(value);
        }
      }
    }
    if (!panel.hasAttribute("data-at-once") || hasWords(card, typed.verb)) {
      open(card, typed.verb);
    } else {
      card.el.querySelector("[data-title]").focus({ preventScroll: true });
    }
  }

  let polling = false;
  async function settle() {
    const due = lines.filter((line) => line.state === "waits" && line.until <= performance.now());
    if (!due.length || polling) {
      return;
    }
    polling = true;
    try {
      const answer = await send(deck.dataset.pollUrl, { ids: due.map((line) => line.id).join(",") });
      for (const became of answer.decisions) {
        const line = due.find((one) => one.id === became.id);
        if (became.outcome === "") {
          line.until = performance.now() + Math.max(500, became.seconds * 1000);
        } else if (became.outcome === "cancelled") {
          notCarriedOut(line, became.why);
        } else {
          if (line.card) {
            line.card.el.remove();
          }
          dropLine(line);
        }
      }
    } catch {
      for (const line of due) {
        line.until = performance.now() + 5000;
      }
    } finally {
      polling = false;
    }
  }

  function notCarriedOut(line, why) {
    line.state = "stopped";
    line.el.classList.add("d-undo-stopped");
    line.el.setAttribute("role", "alert");
    line.el.querySelector("[data-name]").textContent = `${line.name}: ${words.not_carried_out} ${why}`;
    line.el.querySelector("[data-take-back]").hidden = true;
    line.el.querySelector("[data-drop]").hidden = false;
    line.el.querySelector("[data-seconds]").textContent = "";
    decided = Math.max(0, decided - 1);
    score();
  }

  function tick() {
    for (const line of lines) {
      if (line.state === "waits") {
        const left = Math.max(0, line.until - performance.now()) / 1000;
        line.el.querySelector("[data-seconds]").textContent = left > 0 ? `${Math.ceil(left)} s` : "…";
        line.el.querySelector("[data-bar]").style.width = `${Math.min(100, (left / Number(deck.dataset.undoSeconds)) * 100)}%`;
      } else if (line.state === "sent") {
        line.el.querySelector("[data-seconds]").textContent = "";
      }
    }
    deck.querySelector(".d-bar [data-key=u]").disabled = !latest();
    settle();
  }
  setInterval(tick, 250);

  // -- keys and buttons -----------------------------------------------------------------------------------------------

  function press(key, withForm) {
    if (key === "?") {
      help.showModal();
      return;
    }
    if (key === "u") {
      takeBack(latest());
      return;
    }
    if (key === "k") {
      back();
      return;
    }
    if (!current) {
      return;
    }
    if (key === "j") {
      const card = current;
      aside(card);
      passed.push(card);
      forward();
      return;
    }
    const panel = current.el.querySelector(`[data-panel-key="${key}"]`);
    if (!panel) {
      tell(words.not_offered);
    } else if (panel.hasAttribute("data-at-once") && !withForm) {
      run(current, panel.dataset.panel);
    } else {
      open(current, panel.dataset.panel);
    }
  }

  function back() {
    const card = passed.pop();
    if (!card) {
      tell(words.first);
      return;
    }
    if (current) {
      const other = current;
      aside(other);
      ahead.unshift(other);
    }
    appear(card);
  }

  function keysAreOn() {
    return localStorage.getItem("deck-keys") !== "off";
  }

  document.addEventListener("keydown", function (event) {
    const typing = event.target.closest("input, textarea, select, [contenteditable]");
    if (event.key === "Escape" && current && openPanel(current) && !help.open) {
      close(current);
      current.el.querySelector("[data-title]").focus({ preventScroll: true });
      return;
    }
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && typing && typing.form) {
      event.preventDefault();
      typing.form.requestSubmit();
      return;
    }
    if (typing || help.open || event.ctrlKey || event.metaKey || event.altKey || event.repeat || !keysAreOn()) {
      return;
    }
    const key = event.key.toLowerCase();
    if ("jkarcxeshu?".includes(key) && key.length === 1) {
      event.preventDefault();
      press(key, event.shiftKey && key !== "?");
    }
  });

  deck.addEventListener("click", function (event) {
    const button = event.target.closest("[data-key]");
    if (button) {
      press(button.dataset.key, event.shiftKey);
    } else if (event.target.closest("[data-cancel]")) {
      close(current);
    } else if (event.target.closest("[data-again]")) {
      location.reload();
    } else if (event.target.closest("[data-reason]")) {
      const panel = event.target.closest("form");
      panel.elements.namedItem("text").value = event.target.closest("[data-reason]").dataset.reason;
      panel.requestSubmit();
    }
  });

  deck.addEventListener(
    "submit",
    function (event) {
      const panel = event.target.closest("[data-panel]");
      if (!panel) {
        return;
      }
      event.preventDefault();
      event.stopPropagation();
      const card = current;
      for (const field of panel.querySelectorAll("[required]")) {
        if (!field.value.trim()) {
          showErrors(card, panel.dataset.panel, { said: "", errors: {} });
          const place = field.closest("[data-field]").querySelector("[data-error]");
          place.textContent = field.tagName === "SELECT" ? words.choose : words.write;
          place.hidden = false;
          field.focus();
          return;
        }
      }
      run(card, panel.dataset.panel);
    },
    true
  );

  const switchKeys = deck.querySelector("[data-keys-on]");
  switchKeys.checked = keysAreOn();
  switchKeys.addEventListener("change", function () {
    localStorage.setItem("deck-keys", switchKeys.checked ? "on" : "off");
  });

  // -- coming and going -----------------------------------------------------------------------------------------------

  // A colleague changed what is on screen (static/console/presence.js): own acts on their way explain it themselves.
  document.addEventListener("presence:changed", function (event) {
    if (unsent > 0 && event.target.closest("[data-card]")) {
      event.preventDefault();
    }
  });

  window.addEventListener("beforeunload", function (event) {
    if (unsent > 0 && lines.some((line) => line.state === "sent")) {
      event.preventDefault();
    }
  });

  window.addEventListener("pagehide", function () {
    if (current && current.claimed) {
      const body = new FormData();
      body.set("csrfmiddlewaretoken", window.consoleToken());
      body.set("task", current.task);
      body.set("version", String(current.version));
      navigator.sendBeacon(deck.dataset.leaveUrl, body);
      current.claimed = false;
    }
  });

  window.addEventListener("pageshow", function (event) {
    if (event.persisted && current) {
      location.reload();
    }
  });

  for (const staged of JSON.parse(document.getElementById("deck-staged").textContent)) {
    addLine({ ...staged, card: null, until: performance.now() + staged.seconds * 1000, state: "waits" });
  }
  // A task in which somebody was interrupted by the end of the session comes before the first of the queue.
  async function begin() {
    const first = stage.querySelector("[data-card]");
    const cut = window.consoleDrafts.cut().map((name) => name.split(":")[0]);
    const wanted = cut.find((task) => task.startsWith("task_") && !(first && first.dataset.task === task));
    const answer = wanted ? await ask(`${deck.dataset.cardUrl}?task=${encodeURIComponent(wanted)}`).catch(() => null) : null;
    const card = first ? { el: first, task: first.dataset.task, version: Number(first.dataset.version), name: first.dataset.name, claimed: false } : null;
    if (answer && answer.cards.length) {
      const resumed = cardFrom(answer.cards[0].html);
      if (card) {
        card.el.hidden = true;
        ahead.push(card);
      }
      stage.append(resumed.el);
      appear(resumed);
    } else if (card) {
      appear(card);
    }
  }
  begin();
})();
