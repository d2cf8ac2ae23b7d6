/**
 * A value that others follow.
 * @template Value
 */
export class Signal {
  /** @type {Set<(value: Value) => void>} */
  #followers = new Set();
  #value;

  /** @param {Value} value */
  constructor(value) {
    this.#value = value;
  }

  get value() {
    return this.#value;
  }

  set value(value) {
    this.#value = value;
    for (const follower of [...this.#followers]) follower(value);
  }

  /**
   * Call a function with each new value; the returned one ends that.
   * @param {(value: Value) => void} follower
   */
  follow(follower) {
    this.#followers.add(follower);
    return () => this.#followers.delete(follower);
  }
}
