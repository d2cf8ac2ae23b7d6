/**
 * Requests to the control API of this host.
 */

import * as token from "./token.js";

const ROOT = "/api/v1/";

/** An answer that says what is wrong (RFC 9457). `position` and `length` are the place in a filter. */
export class Problem extends Error {
  /**
   * @param {number} status
   * @param {{title?: string, detail?: string, code?: string, position?: number, length?: number}} body
   */
  constructor(status, body) {
    super(body.detail || body.title || `the server answered ${status}`);
    this.status = status;
    this.code = body.code ?? null;
    this.position = body.position ?? null;
    this.length = body.length ?? 1;
  }
}

/** The server does not answer at all. */
export class Unreachable extends Error {}

/**
 * The JSON that the server answers, null where it answers nothing.
 * @param {"GET" | "POST" | "PUT" | "PATCH" | "DELETE"} method
 * @param {string} path  below /api/v1/
 * @param {unknown} [body]
 * @returns {Promise<any>}
 */
export async function request(method, path, body) {
  /** @type {Record<string, string>} */
  const headers = { Accept: "application/json", Authorization: `Bearer ${token.stored() ?? ""}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(ROOT + path, { method, headers, body: body === undefined ? null : JSON.stringify(body) });
  } catch (error) {
    throw new Unreachable(String(error));
  }
  const text = await response.text();
  if (response.ok) return text ? JSON.parse(text) : null;
  throw new Problem(response.status, response.headers.get("Content-Type")?.includes("json") ? JSON.parse(text) : {});
}

/**
 * A path with a query; values that are empty are left out.
 * @param {string} path
 * @param {Record<string, string | number | null | undefined>} query
 */
export function withQuery(path, query) {
  const parts = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== "") parts.set(name, String(value));
  }
  return `${path}?${parts}`;
}

/**
 * A WebSocket of the API. The token is in the subprotocol, since an address is written to logs.
 * @param {string} path
 */
export function webSocket(path) {
  const address = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${ROOT}${path}`;
  return new WebSocket(address, ["portside.v1", `token.${token.stored() ?? ""}`]);
}
