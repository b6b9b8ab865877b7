/* Nothing typed is lost when a session ends: what stands in a dialog of a task, in the deck or in the dialog for many
   tasks is kept in this window (sessionStorage) until the server has taken it, and put back after signing in again.

   Kept by person and task; another person who signs in here never sees it. What is typed to reveal a masked value is not
   kept, and revealed values are in no form. */
(function () {
  "use strict";

  const KEY = "console-draft:";
  const KEPT_FOR = 12 * 3600 * 1000;
  const told = document.currentScript ? new URL(document.currentScript.src).searchParams : new URLSearchParams();
  const who = told.get("who") || "";
  const FIELDS = "textarea[name], select[name], input[name]:not([type=hidden], [type=password], [type=file], [type=checkbox], [type=radio])";

  // -- which form it is: task and verb, the same on the task's page and in the deck -----------------------------------

  function nameOf(form) {
    const card = form.closest("[data-card]");
    if (card && form.dataset.panel) {
      return `${card.dataset.task}:${form.dataset.panel}`;
    }
    const way = new URL(form.getAttribute("action") || "", location.href).pathname.split("/").filter(Boolean);
    if (form.hasAttribute("data-bulk-form")) {
      return `bulk:${way.at(-1)}`;
    }
    const isOfTask = form.closest("dialog") && form.method === "post" && way.length === 5 && way[2] === "humantask";
    return isOfTask && way[4] !== "reveal" ? `${way[3]}:${way[4]}` : "";
  }

  function fieldsOf(form) {
    return [...form.querySelectorAll(FIELDS)];
  }

  function initial(field) {
    if (field.tagName !== "SELECT") {
      return field.defaultValue;
    }
    const chosen = [...field.options].find((option) => option.defaultSelected) || field.options[0];
    return chosen ? chosen.value : "";
  }

  // -- the store ------------------------------------------------------------------------------------------------------

  function read(name) {
    try {
      return JSON.parse(sessionStorage.getItem(KEY + name));
    } catch {
      return null;
    }
  }

  function write(name, draft) {
    try {
      sessionStorage.setItem(KEY + name, JSON.stringify(draft));
    } catch {
      // No room, or storage is switched off: typing goes on without it.
    }
  }

  function drop(name) {
    sessionStorage.removeItem(KEY + name);
  }

  function all() {
    const keys = Object.keys(sessionStorage).filter((key) => key.startsWith(KEY));
    return keys.map((key) => [key.slice(KEY.length), read(key.slice(KEY.length))]).filter((entry) => entry[1]);
  }

  function keep(form) {
    const name = nameOf(form);
    if (!name || !who) {
      return;
    }
    const fields = fieldsOf(form);
    if (fields.some((field) => field.value !== initial(field)) || form.closest("dialog[data-open]")) {
      const values = Object.fromEntries(fields.map((field) => [field.name, field.value]));
      write(name, { who, values, at: Date.now() });
    } else {
      drop(name);
    }
  }

  // -- back into the form ---------------------------------------------------------------------------------------------

  // Returns whether something was put back. A form that the server sent back filled is as it should be.
  function restore(form) {
    const name = nameOf(form);
    const draft = name ? read(name) : null;
    if (!draft || (name.startsWith("bulk:") && !draft.cut)) {
      return false;
    }
    let isBack = false;
    for (const field of fieldsOf(form)) {
      const value = draft.values[field.name];
      if (value && value !== field.value && field.value === initial(field)) {
        field.value = value;
        isBack = isBack || field.value === value;
        const more = field.closest("details");
        if (more) {
          more.open = true;
        }
      }
    }
    if (isBack) {
      say(form, name);
    }
    return isBack;
  }

  function say(form, name) {
    const place = form.querySelector(".c-dialog-body") || form;
    const line = document.createElement("p");
    line.className = "c-restored";
    line.setAttribute("role", "status");
    line.textContent = `${told.get("back")} `;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "c-link";
    button.textContent = told.get("discard");
    button.addEventListener("click", function () {
      for (const field of fieldsOf(form)) {
        field.value = initial(field);
      }
      drop(name);
      line.remove();
    });
    line.append(button);
    place.querySelectorAll(".c-restored").forEach((old) => old.remove());
    place.prepend(line);
  }

  // The dialog in which somebody was interrupted opens by itself.
  function resume(form) {
    const name = nameOf(form);
    const draft = restore(form) ? read(name) : null;
    if (draft && draft.cut) {
      write(name, { ...draft, cut: false });
      return true;
    }
    return false;
  }

  // -- coming and going -----------------------------------------------------------------------------------------------

  function settle() {
    const sent = (document.cookie.match(/(?:^|; )draft_sent=([\w-]+)/) || [])[1];
    for (const [name, draft] of all()) {
      const isForeign = who && draft.who !== who;
      if (isForeign || (sent && draft.sent === sent) || Date.now() - draft.at > KEPT_FOR) {
        drop(name);
      }
    }
  }

  function signedOut() {
    const form = document.querySelector("form input[name=password]") && document.querySelector("form");
    const drafts = all();
    if (who || !form || !drafts.length) {
      return;
    }
    for (const [name, draft] of drafts) {
      write(name, { ...draft, cut: true });
    }
    const line = document.createElement("p");
    line.className = "c-restored";
    line.setAttribute("role", "status");
    line.textContent = told.get("kept");
    document.querySelector("input[name=password]").form.before(line);
  }

  document.addEventListener("input", (event) => event.target.form && keep(event.target.form));
  document.addEventListener("change", (event) => event.target.form && keep(event.target.form));

  document.addEventListener("submit", function (event) {
    const form = event.target;
    if (new URL(form.getAttribute("action") || "", location.href).pathname.endsWith("/logout/")) {
      all().forEach((entry) => drop(entry[0])); // whoever leaves on purpose leaves nothing behind
      return;
    }
    const name = event.defaultPrevented ? "" : nameOf(form);
    const draft = name ? read(name) : null;
    if (draft && !form.hasAttribute("data-bulk-form") && !form.dataset.panel) {
      // The server says in a cookie which one it has taken: a page that comes back is no proof.
      const field = form.querySelector("input[name=draft]") || document.createElement("input");
      Object.assign(field, { type: "hidden", name: "draft", value: crypto.randomUUID ? crypto.randomUUID() : String(Math.random()).slice(2) });
      form.append(field);
      write(name, { ...draft, sent: field.value });
    }
  });

  document.addEventListener("DOMContentLoaded", function () {
    settle();
    signedOut();
    for (const form of document.querySelectorAll("dialog form, form[data-panel]")) {
      if (form.dataset.panel) {
        continue; // the deck asks when it shows the card
      }
      const dialog = form.closest("dialog");
      if (resume(form) && !document.querySelector("dialog[open], dialog[data-open]")) {
        dialog.dataset.open = "";
      }
    }
  });

  window.consoleDrafts = {
    resume,
    restore,
    signedOutText: told.get("out"),
    done: drop,
    cut() {
      return all().filter((entry) => entry[1].cut && entry[1].who === who).map((entry) => entry[0]);
    },
  };
})();
