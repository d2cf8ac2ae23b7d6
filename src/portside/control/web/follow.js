/**
 * A list that follows what comes, or stays where its reader looks: who scrolls up stays, who reaches the end follows.
 */

const NEAR_PX = 24;

export class Following {
  on = true;
  #top = 0;

  /**
   * @param {HTMLElement} scroller
   * @param {HTMLElement} list  what grows in it
   * @param {(on: boolean) => void} changed
   */
  constructor(scroller, list, changed) {
    this.scroller = scroller;
    this.changed = changed;
    scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    const sizes = new ResizeObserver(() => this.keep());
    sizes.observe(scroller);
    sizes.observe(list);
  }

  /** @param {boolean} on */
  set(on) {
    this.on = on;
    this.keep();
    this.changed(on);
  }

  /** Show the end, if the list follows. */
  keep() {
    if (this.on) this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  /** What grows or shrinks by itself moves the end, not the reader: only a way up is the reader's. */
  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    const up = scrollTop < this.#top - 1;
    this.#top = scrollTop;
    if (!clientHeight) return;
    const atEnd = scrollHeight - scrollTop - clientHeight < NEAR_PX;
    if (atEnd && !this.on) this.set(true);
    else if (!atEnd && up && this.on) this.set(false);
  }
}
