/** Has work on the same thing follow each other, and lets all other work be. */
export class Turns {
  readonly #last = new Map<string, Promise<unknown>>()

  async alone<T>(thing: string, work: () => Promise<T>): Promise<T> {
    const turn = (this.#last.get(thing) ?? Promise.resolve()).catch(() => undefined).then(work)
    this.#last.set(thing, turn)
    return await turn
  }
}
