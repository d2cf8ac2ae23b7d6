/**
 * Rows of a long list that is kept by the server: the page asks for those that are in view, and for no others.
 */

const AROUND = 15; // rows above and below the view that are asked for too

/** @template Item */
export class RowWindow {
  /** @type {Map<number, Item>} */
  #items = new Map();
  #wanted = { from: 0, count: 0 };
  #asked = { from: 0, count: 0 };
  #running = false;
  #again = false;
  #generation = 0;
  total = 0;
  /** @type {Page<Item>["totals"]} */
  totals = undefined;

  /**
   * @param {(offset: number, limit: number) => Promise<Page<Item>>} load
   * @param {(error: unknown) => void} changed  is called when rows came, with what failed, if something did
   */
  constructor(load, changed) {
    this.load = load;
    this.changed = changed;
  }

  /** @param {number} index */
  at(index) {
    return this.#items.get(index);
  }

  get items() {
    return this.#items;
  }

  /**
   * Say which rows are in view; they are asked for where they are not at hand.
   * @param {number} from
   * @param {number} count
   */
  see(from, count) {
    this.#wanted = { from, count };
    const last = Math.min(from + count, this.total);
    const inside = from >= this.#asked.from && last <= this.#asked.from + this.#asked.count;
    if (!inside) void this.refresh();
  }

  /** Forget all rows: another filter or another order. The rows stay in view until the new ones are there. */
  reset() {
    this.#generation += 1;
    void this.refresh();
  }

  /** Ask for the rows in view again. While an answer is awaited, one more request waits, never several. */
  async refresh() {
    if (this.#running) {
      this.#again = true;
      return;
    }
    this.#running = true;
    do {
      this.#again = false;
      const generation = this.#generation;
      const from = Math.max(0, this.#wanted.from - AROUND);
      const count = this.#wanted.count + 2 * AROUND;
      try {
        const page = await this.load(from, count);
        if (generation !== this.#generation) {
          this.#again = true;
          continue;
        }
        this.#items = new Map(page.items.map((item, index) => [from + index, item]));
        this.#asked = { from, count };
        this.total = page.total;
        this.totals = page.totals;
        this.changed(null);
      } catch (error) {
        this.changed(error);
      }
    } while (this.#again);
    this.#running = false;
  }
}
