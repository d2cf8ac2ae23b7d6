/**
 * The token that the API asks for. The printed link has it behind `#`, which no request carries; here it is kept for
 * the life of the tab, and the address bar loses it.
 */

const KEY = "portside.token";

/** Take the token from the address bar, if there is one; whether there was. */
export function takeFromAddress() {
  const hash = location.hash.slice(1);
  if (!hash || hash.startsWith("/")) return false;
  keep(hash);
  history.replaceState(null, "", `${location.pathname}${location.search}#/connections`);
  return true;
}

/** @returns {string | null} */
export const stored = () => sessionStorage.getItem(KEY);

/**
 * Keep a token, which may also be given as the whole printed link.
 * @param {string} given
 */
export function keep(given) {
  sessionStorage.setItem(KEY, given.trim().replace(/^.*#/, ""));
}

export const forget = () => sessionStorage.removeItem(KEY);
