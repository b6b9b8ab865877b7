/* Time left, counted on in the page: <time data-due datetime="...">. The words come from the page (texts.html), the
   clock is the server's: a reviewer's own may be minutes off. */
(function () {
  "use strict";

  const SOON = 3600;
  const TONES = ["late", "soon", "calm"];
  let texts = null;
  let ahead = 0; // of our clock before the server's, in milliseconds

  function begin() {
    const source = document.querySelector("[data-time-texts]");
    if (!source) {
      return;
    }
    texts = JSON.parse(source.dataset.timeTexts);
    ahead = Date.now() - Date.parse(source.dataset.now);
    tick();
    setInterval(tick, 1000);
  }

  function filled(text, values) {
    return text.replace(/%\((\w+)\)[ds]/g, function (whole, name) {
      return values[name];
    });
  }

  // As admin.texts.span: as exactly as anybody needs.
  function span(seconds) {
    const d = Math.floor(seconds / 86400);
    const h = Math.floor((seconds % 86400) / 3600);
    const m = Math.floor((seconds % 3600) / 60);
    let form = "s";
    if (d >= 10 || (d && !h)) {
      form = "d";
    } else if (d) {
      form = "dh";
    } else if (h && m && h < 10) {
      form = "hm";
    } else if (h) {
      form = "h";
    } else if (m) {
      form = "m";
    }
    return filled(texts[form], { d: d, h: h, m: m, s: seconds });
  }

  function tick() {
    if (document.hidden) {
      return;
    }
    const now = Date.now() - ahead;
    for (const time of document.querySelectorAll("time[data-due]")) {
      const left = Math.trunc((Date.parse(time.dateTime) - now) / 1000);
      const tone = left < 0 ? "late" : left < SOON ? "soon" : "calm";
      const text = filled(left < 0 ? texts.late : texts.left, { span: span(Math.abs(left)) });
      if (time.textContent !== text) {
        time.textContent = text;
      }
      const cell = time.closest(".c-left");
      if (cell && !cell.classList.contains("c-left-" + tone)) {
        for (const other of TONES) {
          cell.classList.toggle("c-left-" + other, other === tone);
        }
      }
    }
  }

  document.addEventListener("DOMContentLoaded", begin);
  document.addEventListener("visibilitychange", function () {
    if (texts) {
      tick();
    }
  });
})();
