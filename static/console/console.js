/* The console's own script: dialogs, filters, one key. No inline scripts (the content policy forbids them). */
(function () {
  "use strict";

  // The token of now: signing in again, perhaps in another window, makes the one that the page came with useless.
  window.consoleToken = function () {
    const field = document.querySelector("[name=csrfmiddlewaretoken]");
    return (document.cookie.match(/(?:^|; )csrftoken=([^;]+)/) || [])[1] || (field ? field.value : "");
  };

  function open(dialog) {
    if (dialog && !dialog.open) {
      dialog.showModal();
    }
  }

  document.addEventListener("click", function (event) {
    const opener = event.target.closest("[data-opens]");
    if (opener) {
      open(document.getElementById(opener.dataset.opens));
      return;
    }
    if (event.target.closest("[data-closes]")) {
      event.target.closest("dialog").close();
      return;
    }
    // A click beside the dialog closes it; what was typed stays in it.
    if (event.target instanceof HTMLDialogElement) {
      event.target.close();
    }
  });

  document.addEventListener("keydown", function (event) {
    // Enter makes a new line in a text; with Ctrl or Cmd it sends.
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.form && event.target.closest("dialog")) {
      const main = event.target.form.querySelector("[data-main]");
      event.preventDefault();
      if (main) {
        event.target.form.requestSubmit(main);
      }
    }
    const typing = event.target.closest("input, textarea, select, [contenteditable], dialog");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      const field = document.querySelector("[data-hotkey='/']");
      if (field) {
        event.preventDefault();
        field.focus();
      }
    }
  });

  document.addEventListener("change", function (event) {
    if (event.target.matches("[data-autosubmit]")) {
      event.target.form.requestSubmit();
    }
  });

  document.addEventListener("submit", function (event) {
    const form = event.target;
    if (form.hasAttribute("data-tidy")) {
      // Empty filters stay out of the address.
      for (const field of form.elements) {
        if (field.name && !field.value) {
          field.disabled = true;
        }
      }
    }
    if (form.method === "post") {
      // A second click must not send the form twice.
      if (form.dataset.sent) {
        event.preventDefault();
      }
      form.dataset.sent = "1";
      if (form.elements.csrfmiddlewaretoken) {
        form.elements.csrfmiddlewaretoken.value = window.consoleToken();
      }
    }
  });

  // Back in the browser brings the page as it was left: make its forms usable again.
  window.addEventListener("pageshow", function () {
    for (const form of document.querySelectorAll("form")) {
      delete form.dataset.sent;
      for (const field of form.elements) {
        if (form.hasAttribute("data-tidy")) {
          field.disabled = false;
        }
      }
    }
  });

  document.addEventListener("DOMContentLoaded", function () {
    // Alpine shows the page when it has started; a dialog opened before that would not take the focus.
    requestAnimationFrame(function () {
      open(document.querySelector("dialog[data-open]"));
    });
  });
})();
