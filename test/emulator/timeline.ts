/**
 * A value and what it was before, so that an edge can still show the old one. Times are those of `performance.now()`,
 * since the emulator's own clock may stand still.
 */
export class Timeline<T> {
  #entries: { readonly since: number; readonly value: T }[]

  constructor(value: T) {
    this.#entries = [{ since: Number.NEGATIVE_INFINITY, value }]
  }

  get current(): T {
    return this.at(Number.POSITIVE_INFINITY)
  }

  /** From now on. */
  change(value: T): void {
    this.#entries.push({ since: performance.now(), value })
  }

  at(time: number): T {
    const entry = this.#entries.findLast(({ since }) => since <= time) ?? this.#entries[0]
    if (entry === undefined) throw new Error('a timeline without a beginning')
    return entry.value
  }
}
