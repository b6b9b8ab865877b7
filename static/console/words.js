/* Words for one click: a phrase, a name, the data to start from. They go in where the cursor stands. */
(function () {
  "use strict";

  document.addEventListener("click", function (event) {
    const button = event.target.closest("[data-inserts], [data-fills]");
    if (!button) {
      return;
    }
    const field = document.getElementById(button.dataset.inserts || button.dataset.fills);
    if (button.dataset.fills) {
      field.setRangeText(button.dataset.text, 0, field.value.length, "start");
    } else {
      const before = field.value.slice(0, field.selectionStart);
      const gap = before && !/\s$/.test(before) ? " " : "";
      field.setRangeText(gap + button.dataset.text, field.selectionStart, field.selectionEnd, "end");
    }
    field.dispatchEvent(new Event("input", { bubbles: true }));
    field.focus();
  });
})();
