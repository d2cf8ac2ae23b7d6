/**
 * The flight recorder's rows of one connection, and what the plots need of them.
 */

import { request, withQuery } from "./api.js";

export const KEPT_MS = 15 * 60 * 1000;

export class History {
  /** @type {HistoryRow[]} */
  rows = [];

  /** @param {ConnName} conn */
  constructor(conn) {
    this.conn = conn;
  }

  /** Ask for the rows that came since the last one. */
  async refresh() {
    const last = this.rows.at(-1);
    const since = last ? new Date(last.at).toISOString() : undefined;
    const answer = await request("GET", withQuery(`connections/${this.conn}/history`, { since }));
    const added = rowsOf(answer).filter(({ at }) => !last || at > last.at);
    this.rows.push(...added);
    const oldest = (this.rows.at(-1)?.at ?? 0) - KEPT_MS;
    const keep = this.rows.findIndex(({ at }) => at >= oldest);
    if (keep > 0) this.rows.splice(0, keep);
  }

  /**
   * The newest row that is not after a time.
   * @param {number} time  milliseconds since 1970
   */
  at(time) {
    return this.rows.findLast(({ at }) => at <= time) ?? this.rows[0] ?? null;
  }

  /**
   * One fact over time.
   * @param {string} name
   */
  line(name) {
    return this.rows.map((row) => row[name] ?? null);
  }

  /**
   * How much a count grew a second.
   * @param {string} name
   */
  rate(name) {
    return this.rows.map((row, index) => {
      const before = this.rows[index - 1];
      const now = row[name];
      const then = before?.[name];
      if (now === null || now === undefined || then === null || then === undefined || !before) return null;
      return Math.max(0, ((now - then) * 1000) / Math.max(1, row.at - before.at));
    });
  }
}

/**
 * Rows by name from the table that the server answers.
 * @param {{columns: string[], rows: (number | string | null)[][]}} table
 * @returns {HistoryRow[]}
 */
function rowsOf({ columns, rows }) {
  return rows.map((row) => {
    /** @type {HistoryRow} */
    const named = { at: 0 };
    for (const [at, name] of columns.entries()) {
      const value = row[at];
      named[name] = typeof value === "number" ? value : null;
    }
    named.at = Date.parse(String(row[columns.indexOf("at")]));
    return named;
  });
}
