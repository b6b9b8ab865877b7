/* Likely moments beside a field for a time: a click puts one in. Back to a form that a preview came from. */
(function () {
  "use strict";

  document.addEventListener("click", function (event) {
    const pick = event.target.closest("[data-sets]");
    if (pick) {
      const field = document.getElementById(pick.dataset.sets);
      field.value = pick.dataset.value;
      field.focus();
    }
    if (event.target.closest("[data-back]")) {
      window.history.back();
    }
  });
})();
