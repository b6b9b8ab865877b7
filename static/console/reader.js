/* The reader's zone: told to the server by a cookie, so that it can show times in it. Set already on the login page. */
(function () {
  "use strict";

  let zone = "";
  try {
    zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "";
  } catch (error) {
    return;
  }
  if (/^[A-Za-z0-9_+\/-]{1,64}$/.test(zone) && !document.cookie.includes(`time_zone=${zone}`)) {
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `time_zone=${zone}; path=/admin/; max-age=31536000; SameSite=Lax${secure}`;
  }
})();
