/**
 * Counts who needs an answer: a CA may give two orders for the same name one challenge, and the first to be done must not
 * take away what the other still needs.
 */
export class Shared {
  readonly #users = new Map<string, number>()

  take(what: string): void {
    this.#users.set(what, (this.#users.get(what) ?? 0) + 1)
  }

  has(what: string): boolean {
    return this.#users.has(what)
  }

  /** Was that the last, as far as is known here? */
  release(what: string): boolean {
    const left = (this.#users.get(what) ?? 1) - 1
    if (left > 0) this.#users.set(what, left)
    else this.#users.delete(what)
    return left <= 0
  }
}
