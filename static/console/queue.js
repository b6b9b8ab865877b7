/* The queue's own script: what is selected, the dialog for many tasks, and the list that keeps itself up to date.
   Without it the same buttons lead to pages that do the same. */
(function () {
  "use strict";

  document.documentElement.classList.add("c-js");

  const EVERY = 5000; // between two questions whether the list still stands
  const SLOWEST = 60000;
  const PIECE = 20; // tasks in one request of the dialog
  const AT_REST = 900; // how long the pointer has to rest before lines move under it

  let form = null;
  let bar = null;
  let dialog = null;
  const chosen = new Map(); // task id -> "id:version" as it was seen when it was ticked
  let everything = false;
  let lastBox = null;

  function filled(text, values) {
    return text.replace(/%\((\w+)\)s/g, function (whole, name) {
      return values[name];
    });
  }

  function rows() {
    return Array.from(form.querySelectorAll("tr[data-task]"));
  }

  function boxes() {
    return Array.from(form.querySelectorAll("input[data-pick]"));
  }

  function idOf(box) {
    return box.closest("tr").dataset.task;
  }

  // -- what is selected

  function pick(box, on) {
    const row = box.closest("tr");
    if (on) {
      chosen.set(row.dataset.task, box.value);
    } else {
      chosen.delete(row.dataset.task);
      if (box.dataset.fresh) {
        // Ticked again, it stands for what the line says now.
        box.value = box.dataset.fresh;
        delete box.dataset.fresh;
        row.classList.remove("c-row-stale");
      }
    }
    box.checked = on;
    row.classList.toggle("c-row-on", on);
  }

  function show() {
    const all = boxes();
    const listed = all.filter(function (box) {
      return box.checked;
    }).length;
    const head = form.querySelector("[data-pick-all]");
    if (head) {
      head.checked = all.length > 0 && listed === all.length;
      head.indeterminate = listed > 0 && listed < all.length;
    }
    if (!bar) {
      return;
    }
    const said = bar.querySelector("[data-bulk-said]");
    const more = bar.querySelector("[data-pick-everything]");
    const gone = chosen.size - listed;
    const stale = form.querySelectorAll(".c-row-stale").length;
    let text = chosen.size === 1 ? said.dataset.one : filled(said.dataset.many, { n: chosen.size });
    if (gone) {
      text += ", " + filled(said.dataset.gone, { n: gone });
    }
    if (stale) {
      text += ", " + filled(said.dataset.stale, { n: stale });
    }
    if (everything) {
      text = said.dataset.everything;
    }
    if (said.textContent !== text) {
      said.textContent = text;
    }
    bar.classList.toggle("c-bulk-on", chosen.size > 0 || everything);
    if (more) {
      more.hidden = everything || !(head && head.checked);
    }
  }

  function clear() {
    everything = false;
    for (const box of boxes()) {
      pick(box, false);
    }
    chosen.clear();
    show();
  }

  function ticked(event) {
    const box = event.target;
    everything = false;
    if (box.matches("[data-pick-all]")) {
      for (const other of boxes()) {
        pick(other, box.checked);
      }
    } else if (box.matches("[data-pick]")) {
      const all = boxes();
      if (shifted && lastBox && all.includes(lastBox)) {
        const ends = [all.indexOf(lastBox), all.indexOf(box)].sort(function (a, b) {
          return a - b;
        });
        for (const other of all.slice(ends[0], ends[1] + 1)) {
          pick(other, box.checked);
        }
      } else {
        pick(box, box.checked);
      }
      lastBox = box;
    } else {
      return;
    }
    show();
  }

  let shifted = false;

  function clicked(event) {
    shifted = event.shiftKey;
    if (event.target.closest("[data-pick-none]")) {
      clear();
    } else if (event.target.closest("[data-pick-everything]")) {
      everything = true;
      show();
    } else if (event.target.closest("[data-drop-differing]")) {
      for (const row of form.querySelectorAll("tr[data-differs]")) {
        pick(row.querySelector("[data-pick]"), false);
      }
      show();
    }
  }

  // -- the dialog for many tasks

  function asked(button) {
    const data = new FormData();
    for (const field of form.querySelectorAll("input[type=hidden][name]")) {
      data.append(field.name, field.value);
    }
    if (everything) {
      data.append("everything", "1");
    } else {
      for (const value of chosen.values()) {
        data.append("task", value);
      }
    }
    if (button.name) {
      data.append(button.name, button.value);
    }
    return data;
  }

  async function send(url, data) {
    data.set("csrfmiddlewaretoken", window.consoleToken());
    const answer = await fetch(url, {
      method: "POST",
      body: data,
      headers: { "X-Console-Part": "1" },
      credentials: "same-origin",
      redirect: "manual",
    });
    if (answer.type === "opaqueredirect" || answer.status === 403) {
      throw Object.assign(new Error("signed out"), { isOut: true });
    }
    if (answer.status !== 200 && answer.status !== 400) {
      throw new Error("no answer");
    }
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    return { page: page, ok: answer.ok };
  }

  async function preview(button) {
    const data = asked(button);
    try {
      const answer = await send(button.formAction, data);
      dialog.replaceChildren(...answer.page.body.childNodes);
      dialog.dataset.changed = "";
      dialog.querySelectorAll("form[data-bulk-form]").forEach(window.consoleDrafts.resume);
      if (!dialog.open) {
        dialog.showModal();
      }
      const first = ["input[name=decision]:checked", "[autofocus]", "[data-main]", "[data-closes]"]
        .map((selector) => dialog.querySelector(selector))
        .find(Boolean);
      (needsText(dialog) || first || dialog).focus();
    } catch (error) {
      // Signed out, or no network: the plain form says what is wrong.
      plain(button, data);
    }
  }

  // A decision that is chosen already and needs a feedback: the next thing to do is to write.
  function needsText(dialog) {
    const decision = dialog.querySelector("input[name=decision]:checked");
    return decision && decision.hasAttribute("data-needs-text") ? dialog.querySelector("textarea") : null;
  }

  function plain(button, data) {
    const copy = document.createElement("form");
    copy.method = "post";
    copy.action = button.formAction;
    copy.hidden = true;
    for (const [name, value] of data) {
      const field = document.createElement("input");
      field.type = "hidden";
      field.name = name;
      field.value = value;
      copy.append(field);
    }
    document.body.append(copy);
    copy.submit();
    copy.remove();
  }

  async function carryOut(sent) {
    const all = new FormData(sent);
    const tasks = [...all.getAll("changed"), ...all.getAll("task")];
    const main = sent.querySelector("[data-main]");
    const progress = sent.querySelector("[data-bulk-progress]");
    const words = sent.dataset;
    const items = [];
    let result = null;
    let stopped = false;
    const stop = function () {
      stopped = true;
    };
    main.disabled = true;
    progress.hidden = tasks.length <= PIECE;
    dialog.addEventListener("close", stop, { once: true });
    for (let at = 0; at < tasks.length || at === 0; at += PIECE) {
      const piece = new FormData();
      for (const [name, value] of all) {
        if (name !== "task" && name !== "changed") {
          piece.append(name, value);
        }
      }
      for (const value of tasks.slice(at, at + PIECE)) {
        piece.append("task", value);
      }
      progress.firstElementChild.max = tasks.length;
      progress.firstElementChild.value = at;
      progress.lastElementChild.textContent = filled(words.progress, { n: at, total: tasks.length });
      let answer = null;
      try {
        answer = await send(sent.action, piece);
      } catch (error) {
        failed(sent, items, error.isOut ? { lost: window.consoleDrafts.signedOutText } : words);
        break;
      }
      if (!answer.ok) {
        refused(sent, answer.page);
        break;
      }
      result = answer.page;
      items.push(...result.querySelectorAll("[data-bulk-items] > li"));
      dialog.dataset.changed = "1";
      if (stopped || !dialog.open) {
        break;
      }
    }
    dialog.removeEventListener("close", stop);
    main.disabled = false;
    progress.hidden = true;
    if (result && items.length) {
      for (const item of items) {
        drop(item);
      }
      if (!stopped && dialog.open && items.length >= tasks.length) {
        window.consoleDrafts.done(`bulk:${new URL(sent.action).pathname.split("/").at(-2)}`);
        finish(result, items, words);
      }
    }
    if (!dialog.open) {
      closed();
    }
  }

  // What is done leaves the selection; what was skipped stays, so that one can look at it.
  function drop(item) {
    if (item.classList.contains("c-item-done")) {
      const box = boxes().find(function (box) {
        return idOf(box) === item.dataset.task;
      });
      if (box) {
        pick(box, false);
      }
      chosen.delete(item.dataset.task);
      everything = false;
    }
  }

  function refused(sent, page) {
    const errors = page.querySelector("[data-errors]");
    sent.querySelector("[data-errors]").replaceChildren(...(errors ? errors.childNodes : []));
    const decision = sent.querySelector("input[name=decision]:checked");
    const first = sent.querySelector(decision ? "textarea" : "select, input[name=decision], textarea");
    if (first) {
      first.focus();
    }
  }

  function failed(sent, items, words) {
    const error = document.createElement("p");
    error.className = "c-error";
    error.setAttribute("role", "alert");
    error.textContent = words.lost;
    const list = document.createElement("ul");
    list.className = "c-items";
    list.append(...items.map((item) => item.cloneNode(true)));
    sent.querySelector("[data-errors]").replaceChildren(error, list);
    for (const item of items) {
      for (const field of sent.querySelectorAll("input[name=task], input[name=changed]")) {
        if (field.value.startsWith(item.dataset.task + ":")) {
          field.remove();
        }
      }
    }
  }

  function finish(page, items, words) {
    const skipped = items.filter(function (item) {
      return item.dataset.reason;
    });
    const reasons = new Map();
    for (const item of skipped) {
      reasons.set(item.dataset.reason, (reasons.get(item.dataset.reason) || 0) + 1);
    }
    const told = Array.from(reasons)
      .sort((a, b) => b[1] - a[1])
      .map((entry) => (entry[1] > 1 ? entry[0] + " (" + entry[1] + ")" : entry[0]))
      .join(", ");
    const done = filled(words.done, { n: items.length - skipped.length });
    const summary = skipped.length ? filled(words.skipped, { done: done, n: skipped.length, reasons: told }) : done;
    page.querySelector("[data-bulk-summary]").textContent = summary;
    page.querySelector("[data-bulk-items]").replaceChildren(...skipped, ...items.filter((item) => !item.dataset.reason));
    dialog.replaceChildren(...page.body.childNodes);
    dialog.querySelector("footer [data-closes]").focus();
    show();
  }

  function closed() {
    if (!dialog.dataset.changed) {
      if (waiting) {
        update(waiting);
      }
      return;
    }
    dialog.dataset.changed = "";
    if (form.hasAttribute("data-reloads")) {
      window.location.reload();
      return;
    }
    waiting = null;
    show();
    ask(true);
  }

  function submitted(event) {
    const button = event.submitter;
    if (event.target === form && button && button.formAction) {
      event.preventDefault();
      event.stopPropagation();
      if (button.hasAttribute("data-plain")) {
        plain(button, asked(button));
      } else {
        preview(button);
      }
    } else if (event.target.matches("[data-bulk-form]") && dialog.contains(event.target)) {
      event.preventDefault();
      event.stopPropagation();
      carryOut(event.target);
    }
  }

  // -- the list keeps itself up to date

  const COUNTED = 6; // every sixth question is about the numbers on the tabs, too

  const tags = { rows: "", counts: "" };
  let questions = 0;
  let pause = EVERY;
  let timer = 0;
  let waiting = null; // an update that has to wait for the hand or a dialog
  let moved = 0;
  let over = false;

  function isBusy() {
    return Boolean(document.querySelector("dialog[open]")) || (over && Date.now() - moved < AT_REST);
  }

  function schedule(after) {
    clearTimeout(timer);
    timer = setTimeout(ask, after);
  }

  async function ask(now) {
    clearTimeout(timer);
    if (document.hidden) {
      return; // asked again when the tab is looked at
    }
    if (waiting && !isBusy()) {
      update(waiting);
    }
    questions += 1;
    const about = questions % COUNTED ? "rows" : "counts";
    const query = form.querySelector("[data-live-query]").value + (about === "counts" ? "&counts=1" : "");
    const headers = { "X-Console-Part": "1" };
    if (tags[about] && now !== true) {
      headers["If-None-Match"] = '"' + tags[about] + '"';
    }
    try {
      const answer = await fetch(form.dataset.live + "?" + query, {
        headers: headers,
        credentials: "same-origin",
        cache: "no-store",
        redirect: "manual",
      });
      if (answer.type === "opaqueredirect" || answer.status === 403) {
        lost("signedOut");
        return;
      }
      if (answer.status === 200) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        tags[about] = (answer.headers.get("ETag") || "").replace(/^W\/|"/g, "");
        if (isBusy()) {
          waiting = page;
        } else {
          update(page);
        }
      } else if (answer.status === 404) {
        lost("gone");
        return; // nothing of this group is left: nothing to ask for any more
      } else if (answer.status !== 304) {
        throw new Error("status " + answer.status);
      }
      lost("");
      pause = EVERY;
    } catch (error) {
      lost("lost");
      pause = Math.min(pause * 2, SLOWEST);
    }
    schedule(waiting ? AT_REST : pause);
  }

  function lost(why) {
    const notice = form.querySelector("[data-live-lost]");
    notice.hidden = !why;
    notice.textContent = why ? notice.dataset[why] : "";
  }

  function update(page) {
    waiting = null;
    const focused = document.activeElement;
    for (const part of page.querySelectorAll("[data-part]:not([data-part=list])")) {
      replacePart(part, document.querySelector(`[data-part=${part.dataset.part}]`), focused);
    }
    const list = page.querySelector("[data-part=list]");
    const oldList = form.querySelector("[data-part=list]");
    const body = list.querySelector("tbody");
    const oldBody = oldList.querySelector("tbody");
    const before = new Map(rows().map((row) => [row.dataset.task, row]));
    const counted = { added: 0, changed: 0, gone: 0 };
    if (body && oldBody) {
      merge(body, oldBody, before, counted);
      const pages = list.querySelector(".c-pages");
      const oldPages = oldList.querySelector(".c-pages");
      if (oldPages) {
        oldPages.remove();
      }
      if (pages) {
        oldList.append(pages);
      }
    } else {
      counted.added = list.querySelectorAll("tr[data-task]").length;
      counted.gone = before.size;
      oldList.replaceChildren(...list.childNodes);
    }
    if (focused && focused !== document.activeElement && document.contains(focused)) {
      focused.focus({ preventScroll: true });
    }
    say(counted);
    show();
  }

  function replacePart(part, old, focused) {
    if (!old || part.innerHTML === old.innerHTML) {
      return;
    }
    const at = old.contains(focused) ? Array.from(old.children).indexOf(focused) : -1;
    old.replaceChildren(...part.childNodes);
    if (at >= 0 && old.children[at]) {
      old.children[at].focus();
    }
  }

  function merge(body, oldBody, before, counted) {
    const wanted = Array.from(body.rows);
    const ids = new Set(wanted.map((row) => row.dataset.task));
    for (const [id, row] of before) {
      if (!ids.has(id)) {
        row.remove();
        counted.gone += 1;
      }
    }
    wanted.forEach(function (fresh, place) {
      const known = before.get(fresh.dataset.task);
      let row = known;
      if (!known) {
        row = document.importNode(fresh, true);
        row.classList.add("c-row-new");
        counted.added += 1;
      } else if (known.dataset.mark !== fresh.dataset.mark) {
        row = document.importNode(fresh, true);
        row.classList.add("c-row-changed");
        counted.changed += 1;
        keep(known, row);
      }
      if (oldBody.rows[place] !== row) {
        oldBody.insertBefore(row, oldBody.rows[place] || null);
      }
    });
  }

  // A selected line that changed stays selected with what was seen: the server will say so and skip it.
  function keep(known, row) {
    const box = row.querySelector("[data-pick]");
    const seen = chosen.get(row.dataset.task);
    if (box && seen) {
      box.checked = true;
      row.classList.add("c-row-on");
      if (box.value !== seen) {
        box.dataset.fresh = box.value;
        box.value = seen;
        row.classList.add("c-row-stale");
      }
    }
    const focused = document.activeElement;
    const selector = known.contains(focused) && (focused.matches("input") ? "[data-pick]" : ".c-row-link");
    known.replaceWith(row);
    if (selector) {
      row.querySelector(selector).focus({ preventScroll: true });
    }
  }

  function say(counted) {
    const voice = form.querySelector("[data-live-said]");
    const parts = [];
    for (const [name, number] of [["new", counted.added], ["changed", counted.changed], ["gone", counted.gone]]) {
      if (number) {
        parts.push(number === 1 ? voice.dataset[name + "One"] : filled(voice.dataset[name], { n: number }));
      }
    }
    if (parts.length) {
      voice.textContent = parts.join(", ");
    }
  }

  // -- keys: j and k move, x selects

  function pressed(event) {
    const typing = event.target.closest("input:not([type=checkbox]), textarea, select, [contenteditable], dialog");
    if (typing || event.ctrlKey || event.metaKey || event.altKey || !["j", "k", "x"].includes(event.key)) {
      return;
    }
    const all = rows();
    const at = all.indexOf(document.activeElement.closest("tr[data-task]"));
    const box = at >= 0 ? all[at].querySelector("[data-pick]") : null;
    if (event.key === "x" && box) {
      pick(box, !box.checked);
      lastBox = box;
      everything = false;
      show();
      event.preventDefault();
    } else if (event.key !== "x" && all.length) {
      const to = event.key === "j" ? Math.min(at + 1, all.length - 1) : Math.max(at - 1, 0);
      all[to].querySelector(".c-row-link").focus();
      event.preventDefault();
    }
  }

  function begin() {
    form = document.querySelector("form[data-bulk], [data-live]");
    if (!form) {
      return;
    }
    bar = form.querySelector("[data-bulk-bar]");
    dialog = document.querySelector("[data-bulk-dialog]");
    document.addEventListener("keydown", pressed);
    if (dialog) {
      form.addEventListener("change", ticked);
      form.addEventListener("click", clicked, true);
      document.addEventListener("submit", submitted, true);
      dialog.addEventListener("close", closed);
    }
    for (const box of boxes()) {
      if (box.checked) {
        pick(box, true);
      }
    }
    show();
    if (form.dataset.live) {
      tags.rows = form.dataset.tag;
      form.addEventListener("pointermove", function () {
        moved = Date.now();
        over = true;
      });
      form.addEventListener("pointerleave", function () {
        over = false;
      });
      document.addEventListener("visibilitychange", function () {
        if (!document.hidden) {
          ask();
        }
      });
      schedule(EVERY);
    }
  }

  document.addEventListener("DOMContentLoaded", begin);
})();
