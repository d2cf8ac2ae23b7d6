/**
 * Numbers, sizes and times as text, the way Portside's terminal writes them.
 */

const UNITS = /** @type {const} */ ([["T", 2 ** 40], ["G", 2 ** 30], ["M", 2 ** 20], ["k", 2 ** 10]]);
export const UNKNOWN = "–";

/**
 * `5`, `64k`, `1.5M`: bytes, in powers of 1024.
 * @param {number | null | undefined} count
 */
export function size(count) {
  if (count === null || count === undefined) return UNKNOWN;
  for (const [name, unit] of UNITS) {
    if (count < unit) continue;
    const number = count / unit;
    return (number >= 100 || Number.isInteger(number) ? number.toFixed(0) : number.toFixed(1)) + name;
  }
  return String(Math.round(count));
}

/**
 * `5 B`, `64 kB`, `1.5 MB`.
 * @param {number | null | undefined} count
 */
export function bytes(count) {
  const text = size(count);
  if (text === UNKNOWN) return text;
  const unit = text.at(-1) ?? "";
  return /[kMGT]/.test(unit) ? `${text.slice(0, -1)} ${unit}B` : `${text} B`;
}

/** @param {number | null | undefined} count */
export function count(count) {
  return count === null || count === undefined ? UNKNOWN : count.toLocaleString("en");
}

/**
 * `0.4s`, `5s`, `3m05`, `2h07`, `4d03h`.
 * @param {number | null | undefined} seconds
 */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return UNKNOWN;
  if (seconds < 1) return `${(Math.floor(seconds * 10) / 10).toFixed(1)}s`;
  const whole = Math.floor(seconds);
  const minutes = Math.floor(whole / 60);
  const hours = Math.floor(minutes / 60);
  if (hours >= 48) return `${Math.floor(hours / 24)}d${two(hours % 24)}h`;
  if (hours) return `${hours}h${two(minutes % 60)}`;
  return minutes ? `${minutes}m${two(whole % 60)}` : `${whole}s`;
}

/**
 * `45us`, `1.25ms`, `3.2s`.
 * @param {number | null | undefined} us
 */
export function microseconds(us) {
  if (us === null || us === undefined) return UNKNOWN;
  if (us < 1000) return `${Math.round(us)}us`;
  if (us < 1e6) return us < 1e5 ? `${Number((us / 1000).toPrecision(3))}ms` : `${Math.floor(us / 1000)}ms`;
  return us < 6e7 ? `${Math.floor(us / 1e5) / 10}s` : duration(us / 1e6);
}

/** @param {number} number */
const two = (number) => String(number).padStart(2, "0");

/**
 * The time of day where the browser is, with milliseconds if asked for.
 * @param {number | string} at  milliseconds since 1970, or ISO 8601
 * @param {boolean} [milliseconds]
 */
export function clock(at, milliseconds = false) {
  const date = new Date(at);
  const seconds = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return milliseconds ? `${seconds}.${String(date.getMilliseconds()).padStart(3, "0")}` : seconds;
}

/**
 * The day and the time of day where the browser is.
 * @param {string} at  ISO 8601
 */
export function dayAndTime(at) {
  const date = new Date(at);
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${clock(at)}`;
}

/**
 * `peer reset` for `peer_reset`.
 * @param {string} word
 */
export const words = (word) => word.replaceAll("_", " ");
