/* The creative: say where one could not be loaded, and fit a frame of fixed size into the room there is. */
(function () {
  "use strict";

  const ROOM_HEIGHT = 380;

  function broken(media) {
    const look = media.closest("[data-look]");
    if (look) {
      media.hidden = true;
      look.querySelector(".c-look-broken").hidden = false;
    }
  }

  // Errors of media do not bubble; they are seen on their way down.
  document.addEventListener(
    "error",
    function (event) {
      if (event.target instanceof Element && event.target.matches("[data-look] img, [data-look] video, [data-look] audio")) {
        broken(event.target);
      }
    },
    true
  );

  function fit() {
    for (const frame of document.querySelectorAll("[data-frame]")) {
      const width = Number(frame.dataset.width);
      const height = Number(frame.dataset.height);
      const room = frame.parentElement.clientWidth;
      const scale = Math.min(1, room / width, ROOM_HEIGHT / height);
      frame.style.setProperty("--scale", String(scale));
      frame.style.width = `${Math.floor(width * scale)}px`;
      frame.style.height = `${Math.floor(height * scale)}px`;
    }
  }

  // Those that failed before this script was there, or before they were put into the page.
  function look() {
    for (const image of document.querySelectorAll("[data-look] img")) {
      if (image.complete && image.naturalWidth === 0) {
        broken(image);
      }
    }
    for (const media of document.querySelectorAll("[data-look] video, [data-look] audio")) {
      if (media.error) {
        broken(media);
      }
    }
    fit();
  }

  document.addEventListener("DOMContentLoaded", function () {
    look();
    // The deck brings the next task's creative into the same page.
    new MutationObserver(function (changes) {
      const isNew = (node) => node instanceof Element && (node.matches("[data-look]") || node.querySelector("[data-look]"));
      if (changes.some((change) => [...change.addedNodes].some(isNew))) {
        look();
      }
    }).observe(document.body, { childList: true, subtree: true });
  });
  window.addEventListener("resize", fit);
})();
