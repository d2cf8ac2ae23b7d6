/**
 * Dark or light: as the system says, until the reader chooses.
 */

const KEY = "portside.theme";
const dark = matchMedia("(prefers-color-scheme: dark)");

function apply() {
  const chosen = localStorage.getItem(KEY);
  document.documentElement.dataset.theme = chosen ?? (dark.matches ? "dark" : "light");
}

/** Change to the other one. */
export function toggle() {
  const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  if ((next === "dark") === dark.matches) localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, next);
  apply();
}

dark.addEventListener("change", apply);
apply();
