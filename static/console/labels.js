/* Names for what a library draws without one, or with a wrong one: search fields, icons before links, heads of cells. */
(function () {
  "use strict";

  function label(root) {
    for (const search of root.querySelectorAll(".select2-search__field:not([aria-label])")) {
      const container = search.closest(".select2-container");
      const select = container && container.previousElementSibling;
      const own = select && select.id ? document.querySelector(`label[for="${CSS.escape(select.id)}"]`) : null;
      const name = (own && own.textContent.trim()) || (select && select.getAttribute("aria-label")) || "";
      if (name) {
        search.setAttribute("aria-label", name);
      }
    }
  }

  // An icon is drawn by its name in words, which nobody wants read out before the link's own.
  function hush(root) {
    for (const icon of root.querySelectorAll(".material-symbols-outlined:not([aria-hidden])")) {
      const around = icon.closest("a, button");
      if (around && (around.getAttribute("aria-label") || around.textContent.trim() !== icon.textContent.trim())) {
        icon.setAttribute("aria-hidden", "true");
      }
    }
  }

  // On a phone a list's cells carry their heads, which come without their capital letter.
  function capitals() {
    for (const cell of document.querySelectorAll("[data-label]")) {
      cell.dataset.label = cell.dataset.label.charAt(0).toUpperCase() + cell.dataset.label.slice(1);
    }
  }

  document.addEventListener("DOMContentLoaded", function () {
    label(document);
    hush(document);
    capitals();
    new MutationObserver(function () {
      label(document);
    }).observe(document.body, { childList: true, subtree: true });
  });
})();
