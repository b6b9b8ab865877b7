/* The preview of a task type, asked for anew a moment after each change of the form. Nothing is saved by it. */
(function () {
  "use strict";

  const PAUSE = 300;
  let waiting = 0;
  let asked = 0;

  async function refresh(form) {
    const shown = document.querySelector("[data-preview]");
    const number = ++asked;
    const response = await fetch(shown.dataset.preview, { method: "POST", body: new FormData(form) });
    if (response.ok && number === asked) {
      const fresh = new DOMParser().parseFromString(await response.text(), "text/html").querySelector("[data-preview]");
      shown.replaceChildren(...fresh.childNodes);
    }
  }

  function changed(event) {
    const form = event.target.form;
    if (form && document.querySelector("[data-preview]")) {
      clearTimeout(waiting);
      waiting = setTimeout(refresh, PAUSE, form);
    }
  }

  document.addEventListener("input", changed);
  document.addEventListener("change", changed);
})();
