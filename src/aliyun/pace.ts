import { setTimeout as sleep } from 'node:timers/promises'
import { interrupted } from '../patience.js'

/**
 * Keeps calls below a limit per second, across all that share it: `burst` at once, then one after another. In no second
 * are there more than `burst + perSecond` of them.
 */
export class Pace {
  readonly #interval: number
  readonly #burst: number
  /** When the next call may go if there was no burst, in ms of `performance.now()`. */
  #next = 0

  constructor(perSecond: number, burst: number) {
    this.#interval = 1000 / perSecond
    this.#burst = burst
  }

  /** Waits until it is this call's turn. @throws CertError INTERRUPTED */
  async turn(signal: AbortSignal): Promise<void> {
    const now = performance.now()
    this.#next = Math.max(this.#next, now) + this.#interval
    const wait = this.#next - now - this.#burst * this.#interval
    if (wait <= 0) return
    await sleep(wait, undefined, { signal }).catch(() => {
      throw interrupted()
    })
  }
}
