/**
 * How a column is written: it is sorted by its `id`, which is the field that it needs, unless `more` says otherwise.
 */

/**
 * @template Item
 * @param {string} id
 * @param {string} heading
 * @param {string} title
 * @param {string} width
 * @param {number} shown  the least width of the table, in pixels
 * @param {(item: Item) => string} text
 * @param {Partial<FittingColumn<Item>>} [more]
 * @returns {FittingColumn<Item>}
 */
export const column = (id, heading, title, width, shown, text, more) => ({ id, heading, title, width, sort: id, fields: [id], shown, text, ...more });

/** @type {typeof column} a number: to the right, the greatest first */
export const figure = (id, heading, title, width, shown, text, more) => column(id, heading, title, width, shown, text, { number: true, ...more });
