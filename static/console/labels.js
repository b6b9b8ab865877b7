/* Names for fields that a library draws without one: the search field of a choice takes the label of its field. */
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

  document.addEventListener("DOMContentLoaded", function () {
    label(document);
    new MutationObserver(function () {
      label(document);
    }).observe(document.body, { childList: true, subtree: true });
  });
})();
